import { Cron } from 'croner';

/** Times of a cron schedule, read as Kubernetes reads them: five fields or a name like `@daily`, UTC by default. */
export interface Schedule {
  /** The first time after `after`; undefined when there is none. */
  next(after: Date): Date | undefined;
  /** The last time at or before `now`; undefined when there is none. */
  last(now: Date): Date | undefined;
}

const EVERY = /^@every\s+(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/;

/** @throws Error that says what is wrong with the schedule or the zone */
export function parseSchedule(text: string, timeZone = 'Etc/UTC'): Schedule {
  if (/^(CRON_)?TZ=/.test(text)) throw new Error('use spec.timeZone instead of a zone in the schedule');
  const every = EVERY.exec(text.trim());
  if (every) return everySeconds(every.slice(1).map((part) => Number(part ?? 0)));
  // Elsewhere `?` means the time at which the program started; in Kubernetes it is another `*`.
  const cron = new Cron(text.trim().replaceAll('?', '*'), {
    timezone: timeZone,
    paused: true,
    ...(text.trim().startsWith('@') ? {} : { mode: '5-part' as const }),
  });
  // The zone is looked at when a time is asked for; a wrong one must be said at once.
  cron.nextRun();
  return {
    next: (after) => cron.nextRun(after) ?? undefined,
    // It looks at whole seconds, and before the one that it is given.
    last: (now) => cron.previousRuns(1, new Date(now.getTime() + 1000))[0],
  };
}

function everySeconds([hours = 0, minutes = 0, seconds = 0]: number[]): Schedule {
  const ms = (hours * 3600 + minutes * 60 + seconds) * 1000;
  if (ms <= 0) throw new Error('@every needs a time, as in "@every 1h30m"');
  return {
    next: (after) => new Date((Math.floor(after.getTime() / ms) + 1) * ms),
    last: (now) => new Date(Math.floor(now.getTime() / ms) * ms),
  };
}
