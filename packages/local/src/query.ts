/** A boolean query parameter as Kubernetes reads it: clients write `true`, `True`, `1`, or the name alone. */
export function isTrue(value: string | null | undefined): boolean {
  return value !== null && value !== undefined && !/^(false|0)$/i.test(value);
}
