/** WAL in the simulated world: a chain of records, shared between those who have the same history. */
import { formatLsn } from '../lsn.ts';

/** Bytes a record takes: positions are multiples of it. */
export const RECORD_BYTES = 64;

export interface Wal {
  readonly id: number;
  readonly timeline: number;
  /** Records up to this one, itself included. */
  readonly length: number;
  readonly before: Wal | null;
}

export function lengthOf(wal: Wal | null): number {
  return wal === null ? 0 : wal.length;
}

export function append(before: Wal | null, id: number, timeline: number): Wal {
  return { id, timeline, length: lengthOf(before) + 1, before };
}

export function lsnOf(wal: Wal | null): string {
  return formatLsn(BigInt(lengthOf(wal) * RECORD_BYTES));
}

/** The record at this length in the chain. */
export function at(wal: Wal | null, length: number): Wal | null {
  let each = wal;
  while (each !== null && each.length > length) each = each.before;
  return each;
}

/** Whether everything in `part` is in `whole`, at the same place. */
export function isPartOf(part: Wal | null, whole: Wal | null): boolean {
  return part === null || at(whole, part.length) === part || sameUntil(part, at(whole, part.length));
}

/** Chains that were put together record by record are equal without being the same objects. */
function sameUntil(a: Wal, b: Wal | null): boolean {
  let x: Wal | null = a;
  let y = b;
  while (x !== null) {
    if (x === y) return true;
    if (y === null || x.id !== y.id) return false;
    x = x.before;
    y = y.before;
  }
  return y === null;
}

/** How many records both begin with. */
export function commonLength(a: Wal | null, b: Wal | null): number {
  let common = Math.min(lengthOf(a), lengthOf(b));
  let x = at(a, common);
  let y = at(b, common);
  // From the end back to where they are one and the same: the earliest difference decides.
  while (x !== null && y !== null && x !== y) {
    if (x.id !== y.id) common = x.length - 1;
    x = x.before;
    y = y.before;
  }
  return common;
}

/** What PostgreSQL does with WAL of the same timeline number: it goes on where it stopped, whatever came before. */
export function graft(own: Wal | null, source: Wal | null): Wal | null {
  const missing: Wal[] = [];
  let each = source;
  while (each !== null && each.length > lengthOf(own)) {
    missing.push(each);
    each = each.before;
  }
  if (each === own) return source;
  let result = own;
  for (const record of missing.reverse()) result = append(result, record.id, record.timeline);
  return result;
}

/** The timelines of a chain, each with the length at which the next one began; the newest first. */
export function switchPoint(wal: Wal | null, timeline: number): number | undefined {
  let each = wal;
  while (each !== null && each.timeline > timeline) each = each.before;
  return each?.timeline === timeline ? each.length : undefined;
}
