import { PostgresError } from './errors.ts';

/** A position in the write-ahead log as a 64-bit number. */
export type Lsn = bigint;

const FORM = /^([0-9a-fA-F]{1,8})\/([0-9a-fA-F]{1,8})$/;

/** Reads `16/B374D848`; throws PostgresError `BadLsn`. */
export function parseLsn(text: string): Lsn {
  const match = FORM.exec(text);
  if (!match)
    throw new PostgresError('BadLsn', `reading the WAL position "${text}": it is not of the form X/X`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes a position the way PostgreSQL does. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** Negative, zero or positive, like a comparator; both in text form. */
export function compareLsn(a: string, b: string): number {
  const x = parseLsn(a);
  const y = parseLsn(b);
  if (x === y) return 0;
  return x < y ? -1 : 1;
}

/** Bytes from b to a (a minus b). */
export function diffLsn(a: string, b: string): bigint {
  return parseLsn(a) - parseLsn(b);
}

/** The later of two positions, where an absent one loses. */
export function maxLsn(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return compareLsn(a, b) >= 0 ? a : b;
}

/** Name of the segment file that holds a position. */
export function walFileName(timeline: number, lsn: Lsn, segmentBytes = 16 * 1024 * 1024): string {
  const perId = 0x100000000n / BigInt(segmentBytes);
  const segment = lsn / BigInt(segmentBytes);
  const part = (n: bigint): string => n.toString(16).toUpperCase().padStart(8, '0');
  return part(BigInt(timeline)) + part(segment / perId) + part(segment % perId);
}
