/** Named time zones, from the database of zones that the runtime brings. Pure. */

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Milliseconds to add to UTC in that zone at that moment. Throws RangeError for a zone that does not exist. */
function offsetAt(zone: string, utc: number): number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  const name = format.formatToParts(utc).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const match = /^GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(name);
  const [, sign, hours = '0', minutes = '0', seconds = '0'] = match ?? [];
  const ms = (Number(hours) * 60 + Number(minutes)) * MINUTE + Number(seconds) * 1000;
  return sign === '-' ? -ms : ms;
}

/**
 * The moments, in milliseconds since 1970, at which a clock in that zone shows this (given as if it were UTC): two in
 * the hour that is turned back, none in the one that is left out. Undefined: there is no such zone.
 */
export function momentsOf(shown: number, zone: string): number[] | undefined {
  try {
    const offsets = new Set([shown - DAY, shown + DAY].map((utc) => offsetAt(zone, utc)));
    return [...offsets]
      .filter((offset) => offsetAt(zone, shown - offset) === offset)
      .map((offset) => shown - offset)
      .sort((a, b) => a - b);
  } catch {
    return undefined;
  }
}

/** True for a zone that the database of zones knows. */
export function isTimeZone(zone: string): boolean {
  return momentsOf(0, zone) !== undefined;
}
