/** Durations as people write them: `90s`, `5min`, `1h30m`, `2d`, `500ms`. */
import { ApiError } from './errors.ts';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['min', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const PART = /(\d+(?:\.\d+)?)(ms|min|[smhdw])/g;
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|min|[smhdw]))+$/;

/** Milliseconds of a duration with units, such as `1h30m`. Throws ApiError BadDuration when it is none. */
export function parseDuration(text: string): number {
  if (!WHOLE.test(text)) {
    throw new ApiError(
      'BadDuration',
      `reading the duration '${text}': it is none`,
      'write numbers with units ms, s, min (or m), h, d or w, for example 90s or 1h30m',
    );
  }
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PART)) total += Number(amount) * (UNITS.get(unit!) ?? 0);
  return Math.round(total);
}

const STEPS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** A duration for people, its two largest units: `1h30m`, `5s`, `340ms`. */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1_000) return `${Math.round(ms)}ms`;
  let rest = Math.round(ms / 1_000) * 1_000;
  const parts: string[] = [];
  for (const [unit, size] of STEPS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join('');
}
