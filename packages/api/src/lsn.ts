/** Positions in the WAL, as PostgreSQL writes them: `16/B374D848`. */

/** Bytes of WAL from `behind` to `ahead`, never below zero; undefined when one of them is no position. */
export function walBytesBetween(ahead: string | undefined, behind: string | undefined): bigint | undefined {
  const [end, start] = [position(ahead), position(behind)];
  if (end === undefined || start === undefined) return undefined;
  return end > start ? end - start : 0n;
}

function position(lsn: string | undefined): bigint | undefined {
  const match = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(lsn ?? '');
  return match ? (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`) : undefined;
}
