/** How far something is, in words. Pure. */
import { bytes } from './output.ts';

export interface HowFar {
  done: number;
  total: number;
  unit?: string | undefined;
}

/**
 * `28.1 MiB of 213 MiB (13 %), about 20 s left`; empty where nothing is counted. The time that is left is guessed once
 * there is something to guess from.
 */
export function howFar(
  progress: HowFar | undefined,
  startedAt: string | undefined,
  now = Date.now(),
): string {
  if (!progress || progress.total <= 0) return '';
  const { done, total, unit = 'bytes' } = progress;
  const part = Math.min(done / total, 1);
  const gone = (now - Date.parse(startedAt ?? '')) / 1000;
  const left =
    part > 0.02 && part < 1 && gone > 2 ? `, about ${Math.ceil((gone * (1 - part)) / part)} s left` : '';
  const counted = unit === 'bytes' ? `${bytes(done)} of ${bytes(total)}` : `${done} of ${total} ${unit}`;
  return `${counted} (${Math.floor(part * 100)} %)${left}`;
}
