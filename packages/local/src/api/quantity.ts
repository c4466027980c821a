/** Kubernetes quantities (`10Gi`, `500m`, `1e3`). */

const SUFFIXES: Record<string, [base: bigint, exponent: number]> = {
  n: [10n, -9],
  u: [10n, -6],
  m: [10n, -3],
  '': [10n, 0],
  k: [10n, 3],
  M: [10n, 6],
  G: [10n, 9],
  T: [10n, 12],
  P: [10n, 15],
  E: [10n, 18],
  Ki: [2n, 10],
  Mi: [2n, 20],
  Gi: [2n, 30],
  Ti: [2n, 40],
  Pi: [2n, 50],
  Ei: [2n, 60],
};

const PATTERN = /^([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/;
const NANO = 1_000_000_000n;

/** The value in billionths, exact down to a billionth (rounded up, as Kubernetes does); undefined if unreadable. */
export function parseQuantity(text: string): bigint | undefined {
  const match = PATTERN.exec(text);
  if (!match) return undefined;
  const [whole = '', fraction = ''] = (match[2] as string).split('.');
  let numerator = BigInt(`${whole}${fraction}` || '0') * NANO;
  let denominator = 10n ** BigInt(fraction.length);
  const [base, exponent] =
    match[3] !== undefined ? [10n, Number(match[3])] : (SUFFIXES[match[4] ?? ''] ?? [10n, 0]);
  if (exponent >= 0) numerator *= base ** BigInt(exponent);
  else denominator *= base ** BigInt(-exponent);
  const magnitude = (numerator + denominator - 1n) / denominator;
  return match[1] === '-' ? -magnitude : magnitude;
}

/** -1, 0 or 1; undefined if either cannot be read. */
export function compareQuantities(a: string, b: string): number | undefined {
  const [x, y] = [parseQuantity(a), parseQuantity(b)];
  if (x === undefined || y === undefined) return undefined;
  return x < y ? -1 : x > y ? 1 : 0;
}
