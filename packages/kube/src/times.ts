/** How the API writes times. */

/** A time as a Lease must have it: RFC 3339 with exactly six fractional digits. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}

/** A time as all other objects have it: RFC 3339 in whole seconds. */
export function time(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
