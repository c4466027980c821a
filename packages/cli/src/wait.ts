import { setTimeout as sleep } from 'node:timers/promises';
import { CliError } from './errors.ts';

export interface WaitOptions {
  timeoutMs: number;
  /** Pause between two looks. */
  everyMs?: number;
  signal?: AbortSignal;
  /** What is being waited for now, for the message when time is up. */
  describe: () => string;
  hint?: string;
  /** Errors that no later look would mend: thrown at once. */
  giveUp?: (error: unknown) => boolean;
}

/**
 * Looks until `look` returns something other than undefined or false, and returns that. A look that throws counts as
 * not yet, until time is up; then its error is the cause.
 */
export async function waitFor<T>(
  look: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const end = performance.now() + options.timeoutMs;
  let cause: unknown;
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      cause = undefined;
    } catch (error) {
      if (options.giveUp?.(error)) throw error;
      cause = error;
    }
    if (performance.now() >= end) {
      const seconds = Math.round(options.timeoutMs / 1000);
      throw new CliError('timeout', `Not done within ${seconds} s: ${options.describe()}`, {
        cause,
        hint: options.hint,
      });
    }
    await sleep(options.everyMs ?? 200, undefined, { signal: options.signal });
  }
}
