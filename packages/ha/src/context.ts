/** What one decision works with: the state, the clocks, the rules, and the actions gathered so far. */
import { elapsed, type Now } from './clock.ts';
import type { Action, Aside, Job } from './events.ts';
import type { Rules } from './rules.ts';
import type { State } from './state.ts';
import type { LeaseRecord, Settings } from './types.ts';

export interface Context {
  readonly s: State;
  readonly now: Now;
  readonly rules: Rules;
  readonly actions: Action[];
  /** Monotonic time of the next moment at which something may change by the clock alone. */
  wakeAt: number;
  /** What was waited for when the step before ended. */
  readonly waitedFor?: State['waiting'];
}

/** The Lease's record, when there is one that we have read. */
export function recordOf(s: State): LeaseRecord | undefined {
  return s.lease?.record;
}

/** Settings are there before anything but certain death is decided. */
export function settingsOf(s: State): Settings {
  return s.settings!;
}

/** Asks to be called again no later than `ms` from now. */
export function wakeIn(c: Context, ms: number): void {
  c.wakeAt = Math.min(c.wakeAt, c.now.mono + Math.max(ms, 1));
}

/**
 * Says what is waited for; the moment it began survives as long as the words stay the same at the end of each step,
 * whatever else is waited for on the way there.
 */
export function waitFor(c: Context, what: string, withinMs?: number): void {
  const same = [c.s.waiting, c.waitedFor].find((each) => each?.what === what);
  const since = same?.since ?? c.now;
  c.s.waiting = { what, since, ...(withinMs === undefined ? {} : { withinMs }) };
}

export function note(c: Context, severity: 'Normal' | 'Warning', reason: string, message: string): void {
  c.actions.push({ type: 'note', severity, reason, message });
}

/** Hands a job to the executor. From here on PostgreSQL may acknowledge commits if the job makes it a primary. */
export function begin(c: Context, job: Job): void {
  const id = c.s.nextId++;
  c.s.job = { id, job, since: c.now };
  c.s.waiting = undefined;
  if (job.kind !== 'die') c.s.acted = true;
  if (job.kind === 'startPrimary' || job.kind === 'promote') c.s.primaryMaybe = true;
  if (job.kind.startsWith('start')) {
    c.s.deadSince = undefined;
    c.s.exitedAt = undefined;
  }
  c.actions.push({ type: 'job', id, job });
}

export function beginAside(c: Context, aside: Aside): void {
  c.s.asides[aside.kind] = true;
  c.actions.push({ type: 'aside', aside });
}

/** Whether the back-off after failures of this kind is over; asks to be woken when not. */
export function mayRetry(c: Context, kind: string): boolean {
  const retry = c.s.retries[kind];
  if (!retry || retry.notBefore.mono <= c.now.mono) return true;
  wakeIn(c, retry.notBefore.mono - c.now.mono);
  return false;
}

const FIRST_RETRY_MS = 200;

/** Notes a failure: the next try of this kind waits, each time longer, up to `longestMs`. */
export function backOff(s: State, kind: string, now: Now, longestMs = 10_000): void {
  const count = (s.retries[kind]?.count ?? 0) + 1;
  const ms = Math.min(FIRST_RETRY_MS * 2 ** (count - 1), longestMs);
  s.retries[kind] = { count, notBefore: { mono: now.mono + ms, wall: now.wall + ms } };
}

/** True while `spec.failoverDelay` is not over since the Lease was seen open, and says so. */
export function delaysFailover(c: Context, since: Now): boolean {
  const ms = settingsOf(c.s).failoverDelayMs;
  if (!within(c, since, ms)) return false;
  waitFor(c, `the end of spec.failoverDelay (${ms / 1000} s) before another may take over`, ms);
  return true;
}

/** Says why this candidate may not take over by what it knows. */
export function refused(c: Context, why: string): void {
  c.s.election = { ...c.s.election!, refused: why };
  waitFor(c, why);
}

/** The last word on that counts until there is another: while peers are asked anew, it is what there is to say. */
export function refusedStill(c: Context): void {
  const why = c.s.election?.refused;
  if (why !== undefined) waitFor(c, why);
}

/** True while less than `ms` have passed since `since`; then asks to be woken at the end of it. */
export function within(c: Context, since: Now, ms: number): boolean {
  const left = ms - elapsed(since, c.now);
  if (left <= 0) return false;
  wakeIn(c, left);
  return true;
}
