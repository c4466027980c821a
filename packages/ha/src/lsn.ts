/** Log sequence numbers, `X/Y` in hexadecimal, and positions in a history. */

/** The byte position an LSN names. Undefined, empty or unreadable text is no position. */
export function parseLsn(text: string | undefined): bigint | undefined {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text ?? '');
  return match ? (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`) : undefined;
}

export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** How far an instance has come: a higher timeline is ahead of any LSN on a lower one. */
export interface Position {
  timeline: number;
  lsn: bigint;
}

/** Negative when `a` is behind `b`, zero when equal, positive when ahead. */
export function comparePositions(a: Position, b: Position): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline;
  return a.lsn < b.lsn ? -1 : a.lsn > b.lsn ? 1 : 0;
}

export function maxLsn(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return a > b ? a : b;
}
