export function parseBytes(text: string): bigint {
  return BigInt(text.length);
}
