import { backoffMs } from './backoff.ts';
import { isKubeError } from './errors.ts';
import { type Log, silent } from './types.ts';

export interface QueueOptions {
  name: string;
  /** Brings the object named by `key` to what it should be. A rejection is logged and tried again with back-off. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a reconciler that has nothing to say returns nothing
  reconcile: (key: string, signal: AbortSignal) => Promise<{ afterMs?: number } | undefined | void>;
  /** Keys reconciled at once (default 1). One key never runs twice at the same time. */
  concurrency?: number;
  /** First and longest wait after a failure (default 100 and 60 000). */
  minBackoffMs?: number;
  maxBackoffMs?: number;
  log?: Log;
  /** Told of each failure, for metrics. */
  onError?: (key: string, error: unknown, failures: number) => void;
}

export interface Queue {
  /** Have `key` reconciled soon: once, however often it is added before its turn; again if it is running. */
  add(key: string): void;
  /** Have `key` reconciled after `ms`, or earlier if something adds it; the earliest of several wins. */
  addAfter(key: string, ms: number): void;
  start(signal: AbortSignal): void;
  /** Resolves when nothing waits for its turn and nothing runs (keys waiting for a time do not count). */
  idle(): Promise<void>;
  /** Keys that wait for their turn. */
  readonly length: number;
}

/** A work queue of keys without duplicates. */
export function createQueue(options: QueueOptions): Queue {
  return new WorkQueue(options);
}

class WorkQueue implements Queue {
  private readonly options: QueueOptions;
  private readonly log: Log;
  private readonly waiting = new Set<string>();
  private readonly running = new Set<string>();
  /** Added while running: to run once more. */
  private readonly again = new Set<string>();
  private readonly timers = new Map<string, { at: number; timer: NodeJS.Timeout }>();
  private readonly failures = new Map<string, number>();
  private idlers: (() => void)[] = [];
  private signal: AbortSignal | undefined;

  constructor(options: QueueOptions) {
    this.options = options;
    this.log = options.log ?? silent;
  }

  get length(): number {
    return this.waiting.size;
  }

  add(key: string): void {
    if (this.signal?.aborted) return;
    this.cancelTimer(key);
    if (this.running.has(key)) this.again.add(key);
    else this.waiting.add(key);
    this.pump();
  }

  addAfter(key: string, ms: number): void {
    if (this.signal?.aborted) return;
    const at = performance.now() + ms;
    const known = this.timers.get(key);
    if (known && known.at <= at) return;
    this.cancelTimer(key);
    this.timers.set(key, { at, timer: setTimeout(() => this.add(key), Math.min(ms, 0x7fffffff)) });
  }

  start(signal: AbortSignal): void {
    if (this.signal) throw new Error(`queue ${this.options.name} was started twice`);
    this.signal = signal;
    signal.addEventListener('abort', () => this.stop(), { once: true });
    if (signal.aborted) this.stop();
    else this.pump();
  }

  idle(): Promise<void> {
    if (this.isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  private stop(): void {
    for (const { timer } of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.waiting.clear();
    this.again.clear();
    this.settle();
  }

  private isIdle(): boolean {
    return this.waiting.size === 0 && this.running.size === 0;
  }

  private settle(): void {
    if (!this.isIdle()) return;
    const idlers = this.idlers;
    this.idlers = [];
    for (const resolve of idlers) resolve();
  }

  private cancelTimer(key: string): void {
    const known = this.timers.get(key);
    if (!known) return;
    clearTimeout(known.timer);
    this.timers.delete(key);
  }

  private pump(): void {
    if (!this.signal || this.signal.aborted) return;
    for (const key of this.waiting) {
      if (this.running.size >= (this.options.concurrency ?? 1)) return;
      this.waiting.delete(key);
      this.running.add(key);
      // Starts in a microtask: several adds of one moment must not see half of it done.
      Promise.resolve().then(() => this.work(key, this.signal!));
    }
  }

  private async work(key: string, signal: AbortSignal): Promise<void> {
    try {
      const result = await this.options.reconcile(key, signal);
      this.failures.delete(key);
      if (result?.afterMs !== undefined) this.addAfter(key, result.afterMs);
    } catch (error) {
      if (!signal.aborted) this.failed(key, error);
    } finally {
      this.running.delete(key);
      if (this.again.delete(key)) this.waiting.add(key);
      this.pump();
      this.settle();
    }
  }

  private failed(key: string, error: unknown): void {
    const failures = (this.failures.get(key) ?? 0) + 1;
    this.failures.set(key, failures);
    const { name, minBackoffMs = 100, maxBackoffMs = 60_000 } = this.options;
    const asked = isKubeError(error) ? (error.retryAfterMs ?? 0) : 0;
    const waitMs = Math.round(Math.max(asked, backoffMs(failures - 1, minBackoffMs, maxBackoffMs)));
    this.log.warn({ queue: name, key, failures, waitMs, err: error }, 'reconciling failed, will try again');
    this.options.onError?.(key, error, failures);
    this.addAfter(key, waitMs);
  }
}
