/** Points in time as people write them for a recovery. */
import { ApiError } from '../errors.ts';
import { momentsOf } from './time-zone.ts';

export interface TargetTime {
  /** Milliseconds since 1970, rounded down. */
  ms: number;
  /** For PostgreSQL and for people: `2026-11-28 10:30:23.014783+00`, always in UTC. */
  text: string;
  /** No time zone was given; it was taken for UTC. */
  assumedUtc: boolean;
}

const FORM =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?|[A-Z][A-Za-z_]+(?:\/[A-Za-z0-9_+-]+)+)?$/;

/**
 * Reads a time such as `2026-11-28T10:30:00Z`, `2026-11-28 12:30:00+02`, `2026-11-28 11:30 Europe/Berlin` or
 * `2026-11-28 10:30`. Without a time zone
 * it means UTC: a server's or a reader's local zone would make the same manifest mean different moments.
 * Throws ApiError BadTime when it is none, or no such day or hour exists.
 */
export function parseTargetTime(text: string): TargetTime {
  const match = FORM.exec(text.trim());
  if (!match) throw bad(text, 'it is none');
  const [, year, month, day, hour, minute, second = '00', fraction = '', zone] = match;
  const naive = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const utc = Date.parse(`${naive}Z`);
  if (Number.isNaN(utc) || new Date(utc).toISOString().slice(0, 19) !== naive)
    throw bad(text, 'there is no such day or time');
  const whole = zone?.includes('/') ? momentIn(utc, zone, text) : utc - offsetMinutes(zone, text) * 60_000;
  const micros = fraction.padEnd(6, '0').slice(0, 6);
  const at = new Date(whole).toISOString();
  const decimals = fraction ? `.${micros}` : '';
  return {
    ms: whole + Math.floor(Number(micros) / 1000),
    text: `${at.slice(0, 10)} ${at.slice(11, 19)}${decimals}+00`,
    assumedUtc: zone === undefined,
  };
}

function momentIn(shown: number, zone: string, text: string): number {
  const moments = momentsOf(shown, zone);
  if (!moments) throw bad(text, `there is no time zone ${zone}`);
  if (moments.length === 0) throw bad(text, `clocks in ${zone} are put forward over that time`);
  if (moments.length > 1) throw bad(text, `there are two such times in ${zone}: say which, by its offset`);
  return moments[0]!;
}

function offsetMinutes(zone: string | undefined, text: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone ?? '');
  if (!match) return 0;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  if (minutes > 14 * 60 || Number(match[3] ?? 0) > 59) throw bad(text, `there is no time zone ${zone}`);
  return match[1] === '-' ? -minutes : minutes;
}

function bad(text: string, why: string): ApiError {
  return new ApiError(
    'BadTime',
    `reading the time '${text}': ${why}`,
    'write it as 2026-11-28T10:30:00Z or 2026-11-28 12:30:00+02, or with a zone such as Europe/Berlin; without a time zone it is UTC',
  );
}
