/** Kubernetes quantities: `10Gi`, `500m`, `1e3`. Exact, as whole numbers of billionths. */
import { ApiError } from './errors.ts';

const NANO = 1_000_000_000n;

/** Suffix to what it multiplies with, in billionths. */
const SUFFIXES: ReadonlyMap<string, bigint> = new Map([
  ['n', 1n],
  ['u', 1_000n],
  ['m', 1_000_000n],
  ['', NANO],
  ['k', NANO * 10n ** 3n],
  ['M', NANO * 10n ** 6n],
  ['G', NANO * 10n ** 9n],
  ['T', NANO * 10n ** 12n],
  ['P', NANO * 10n ** 15n],
  ['E', NANO * 10n ** 18n],
  ['Ki', NANO * 2n ** 10n],
  ['Mi', NANO * 2n ** 20n],
  ['Gi', NANO * 2n ** 30n],
  ['Ti', NANO * 2n ** 40n],
  ['Pi', NANO * 2n ** 50n],
  ['Ei', NANO * 2n ** 60n],
]);

const GRAMMAR = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:([eE][+-]?\d{1,2})|([KMGTPE]i|[numkMGTPE])?)$/;

/** A factor in billionths for a suffix or an exponent such as `e3`; rounding down what is finer than that. */
function factor(suffix: string | undefined, exponent: string | undefined): { up: bigint; down: bigint } {
  if (exponent === undefined) return { up: SUFFIXES.get(suffix ?? '') ?? NANO, down: 1n };
  const power = Number(exponent.slice(1));
  return power >= 0
    ? { up: NANO * 10n ** BigInt(power), down: 1n }
    : { up: NANO, down: 10n ** BigInt(-power) };
}

/** The value of a quantity in billionths, rounded up as Kubernetes does; undefined when it is none. */
export function tryParseQuantity(text: string): bigint | undefined {
  const match = GRAMMAR.exec(text);
  if (!match) return undefined;
  const [, sign, whole, fraction = '', bareFraction = '', exponent, suffix] = match;
  const decimals = fraction || bareFraction;
  const { up, down } = factor(suffix, exponent);
  const numerator = BigInt((whole ?? '') + decimals || '0') * up;
  const denominator = 10n ** BigInt(decimals.length) * down;
  const value = (numerator + denominator - 1n) / denominator;
  return sign === '-' ? -value : value;
}

/** The value of a quantity in billionths. Throws ApiError BadQuantity when `text` is none. */
export function parseQuantity(text: string): bigint {
  const value = tryParseQuantity(text);
  if (value === undefined) {
    throw new ApiError(
      'BadQuantity',
      `reading the amount '${text}': it is none`,
      'write a number followed by Ki, Mi, Gi, Ti, k, M, G or T, for example 10Gi',
    );
  }
  return value;
}

/** An amount in whole bytes, rounded up. Throws ApiError BadQuantity when `text` is none. */
export function parseBytes(text: string): bigint {
  const value = parseQuantity(text);
  return value >= 0n ? (value + NANO - 1n) / NANO : value / NANO;
}

/** Below, above or zero, as `a` is less than, more than or the same as `b`. Throws ApiError BadQuantity. */
export function compareQuantities(a: string, b: string): number {
  const difference = parseQuantity(a) - parseQuantity(b);
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
}
