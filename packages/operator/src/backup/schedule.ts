/** When a schedule makes its next backup. Pure. */
import { isTimeZone, type ScheduledBackupSpec, type ScheduledBackupStatus } from '@pgherd/api';
import { Cron } from 'croner';

export interface ScheduleLook {
  /** Milliseconds since 1970, all three. */
  now: number;
  created: number;
  spec: ScheduledBackupSpec;
  status: ScheduledBackupStatus | undefined;
  /** The last backup it made has not ended. */
  busy: boolean;
  /** Its name. */
  name: string;
  /** Why no backup can be made for now, in words. */
  obstacle?: string;
}

export type ScheduleStep =
  /** `make`: the time for which a backup is due now. */
  { status: ScheduledBackupStatus; make?: number; afterMs?: number };

/** A look at least so often: clocks are set, machines sleep. */
const LONGEST_MS = 60_000;
/** While a backup is due that cannot be made yet, so often. */
const OBSTACLE_MS = 5_000;

const rfc3339 = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/**
 * What a look at a schedule comes to. Of times that were missed, the last one counts and the others are gone: the
 * operator was away, and a flood of backups would help nobody.
 */
export function planSchedule(look: ScheduleLook): ScheduleStep {
  const { now, spec, busy } = look;
  const { message: _, nextScheduleTime: _next, ...status } = look.status ?? {};
  if (!isTimeZone(spec.timeZone ?? 'UTC'))
    return { status: { ...status, message: `there is no time zone ${spec.timeZone}` } };
  let cron: Cron;
  try {
    cron = new Cron(spec.schedule, { timezone: spec.timeZone ?? 'UTC', paused: true, mode: 'auto' });
    cron.nextRun(new Date(now));
  } catch (error) {
    return { status: { ...status, message: `the schedule cannot be read: ${(error as Error).message}` } };
  }
  if (spec.suspend) return { status: { ...status, message: 'suspended' } };
  const next = cron.nextRun(new Date(now))?.getTime();
  const upcoming = next === undefined ? {} : { nextScheduleTime: rfc3339(next) };
  const afterMs = next === undefined ? LONGEST_MS : Math.min(next - now, LONGEST_MS) + 1;
  const due = dueTime(look, cron);
  // Nothing is ticked off: what is due is made up for, also a first one at once.
  if (look.obstacle) {
    const soon = due === undefined ? afterMs : Math.min(afterMs, OBSTACLE_MS);
    return { status: { ...status, ...upcoming, message: look.obstacle }, afterMs: soon };
  }
  if (due === undefined) {
    const told = next === undefined ? NEVER : leftOut(look);
    return { status: { ...status, ...upcoming, ...(told ? { message: told } : {}) }, afterMs };
  }
  const seen = { ...status, ...upcoming, lastScheduleTime: rfc3339(due) };
  if (!busy) return { status: seen, make: due, afterMs };
  return { status: { ...seen, message: leftOut({ ...look, status: seen })! }, afterMs };
}

const NEVER = 'no such day ever comes: nothing is backed up';

/** A time that has passed without a backup, as long as no later one is made. */
function leftOut({
  name,
  busy,
  status = {},
}: Pick<ScheduleLook, 'name' | 'busy' | 'status'>): string | undefined {
  const { lastBackup, lastScheduleTime } = status;
  if (!lastBackup || !lastScheduleTime) return undefined;
  if (lastBackup === scheduledName(name, Date.parse(lastScheduleTime))) return undefined;
  return `the backup of ${lastScheduleTime} was left out: ${lastBackup} ${busy ? 'has' : 'had'} not ended`;
}

/** The time for which a backup is due, if any. */
function dueTime({ now, created, spec, status }: ScheduleLook, cron: Cron): number | undefined {
  const last = status?.lastScheduleTime && Date.parse(status.lastScheduleTime);
  if (!last) {
    if (spec.immediate) return now;
    return latestBetween(cron, created, now);
  }
  return latestBetween(cron, last, now);
}

/** The latest time of the schedule after `from` and not after `to`. */
function latestBetween(cron: Cron, from: number, to: number): number | undefined {
  const first = cron.nextRun(new Date(from))?.getTime();
  if (first === undefined || first > to) return undefined;
  // Backwards in growing strides: a schedule of every second over a week would be many steps forwards.
  for (let stride = 1_000; ; stride *= 4) {
    const start = Math.max(from, to - stride);
    let found: number | undefined;
    for (let at = cron.nextRun(new Date(start))?.getTime(); at !== undefined && at <= to; ) {
      found = at;
      at = cron.nextRun(new Date(at))?.getTime();
    }
    if (found !== undefined) return found;
    if (start === from) return first;
  }
}

/** The name of the backup for a time. */
export function scheduledName(schedule: string, due: number): string {
  return `${schedule}-${new Date(due).toISOString().replace(/[-:T]/g, '').slice(0, 14)}`;
}
