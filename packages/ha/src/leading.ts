/** What a leader does with its database: promote it, change its commit rule, stop it in time; and the bounds on jobs. */
import { elapsed } from './clock.ts';
import { ruleText } from './commit-rule.ts';
import {
  begin,
  type Context,
  mayRetry,
  note,
  recordOf,
  settingsOf,
  waitFor,
  wakeIn,
  within,
} from './context.ts';
import { askAhead, checkpointMs, stop } from './handover.ts';
import { ruleToApply } from './membership.ts';

/** Runs `act`, unless a failure of this kind was not long ago. */
export function retrying(c: Context, kind: string, act: () => void): void {
  if (mayRetry(c, kind)) act();
  else waitFor(c, `another try of ${kind}: ${c.s.error?.message ?? 'it failed'}`);
}

/** Fast, then immediate, then certain death: all of it before the guard would strike. */
export function stopInTime(c: Context): void {
  const settings = settingsOf(c.s);
  const room = Math.max(settings.guardMs - settings.stopMs, 0);
  begin(c, { kind: 'stop', fastMs: room / 2, immediateMs: room / 4 });
}

export function promote(c: Context): void {
  const rule = ruleToApply(c, recordOf(c.s)!.members);
  if (!c.rules.mayApply(rule, recordOf(c.s)!)) {
    waitFor(c, 'the commit rule to be recorded');
    return;
  }
  const { failingSince } = c.s;
  const others = recordOf(c.s)!.members.some((member) => member.name !== c.s.self.name);
  if (failingSince && others && elapsed(failingSince, c.now) >= settingsOf(c.s).primaryStartMs) {
    c.s.giveUp = true;
    begin(c, { kind: 'die' });
    return;
  }
  const { timeline } = c.s.held!;
  if (timeline === undefined) {
    waitFor(c, 'a timeline number to be reserved');
    return;
  }
  retrying(c, 'promote', () => begin(c, { kind: 'promote', syncNames: ruleText(rule), timeline }));
}

/** The text of the rule to bring into force, if it is another than the one in force and recorded already. */
export function ruleChange(c: Context): string | undefined {
  const record = recordOf(c.s)!;
  const rule = ruleToApply(c, record.members);
  const text = ruleText(rule);
  return text !== c.s.applied && c.rules.mayApply(rule, record) ? text : undefined;
}

/** Bounds on jobs: a checkpoint before a stop, and a start in place when somebody else could lead. */
export function watchJob(c: Context): void {
  const { s, now } = c;
  const { job, since } = s.job!;
  const others = recordOf(s)?.members.some((member) => member.name !== s.self.name) === true;
  if (job.kind === 'checkpoint' && !within(c, since, checkpointMs(c)) && s.handover) {
    s.handover.stage = 'stopping';
    stop(c);
  }
  if (job.kind === 'stop') askAhead(c);
  if (job.kind === 'stop' && !s.held) waitFor(c, 'PostgreSQL to stop');
  if (job.kind !== 'startPrimary' || !others) return;
  const limit = settingsOf(s).primaryStartMs;
  if (elapsed(since, now) < limit) {
    wakeIn(c, limit - elapsed(since, now));
    return;
  }
  note(
    c,
    'Warning',
    'StartTooSlow',
    `PostgreSQL did not start within ${limit / 1000} s: leadership is given up`,
  );
  s.giveUp = true;
  begin(c, { kind: 'die' });
}
