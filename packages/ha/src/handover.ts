/** How a leader goes: planned (a wish, or its pod is being stopped), or because its database died. */
import { elapsed } from './clock.ts';
import { quorumOf, ruleText } from './commit-rule.ts';
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
import { comparePositions, formatLsn, type Position, parseLsn } from './lsn.ts';
import { ruleToApply, runsAsPrimary } from './membership.ts';
import { answersSince, couldLead, peerPosition } from './positions.ts';
import type { HandoverPlan } from './state.ts';
import type { LeaseRecord, PeerReport } from './types.ts';

/** A target may be this far behind when the stop begins; the rest is sent while PostgreSQL stops. */
const CLOSE_BYTES = 16n << 20n;
/** How long a pod that is being stopped looks for a successor before it stops without. */
const SHUTDOWN_CHOICE_MS = 5_000;
/** A checkpoint before the stop shortens the stop; one that takes too long is not waited for. */
export const CHECKPOINT_MS = 20_000;
/** How long after the stop the target may take to confirm the last record. */
const VERIFY_MS = 3_000;
const ASK_MS = 50;
/** How long the peers of a dead primary have for their answers. */
const AFTER_DEATH_MS = 600;

/** A wish that is meant for us and not yet carried out, or the stop of our pod. */
export function wantsHandover(c: Context): boolean {
  const { s } = c;
  if (s.terminating) return true;
  const wish = settingsOf(s).switchover;
  if (wish?.to === s.self.name) return false;
  return (
    wish !== undefined && wish.from === s.self.name && wish.id !== s.switchoverOutcome?.id && runsAsPrimary(c)
  );
}

export function beginHandover(c: Context): void {
  const { s, now } = c;
  const wish = settingsOf(s).switchover;
  const plan: HandoverPlan = s.terminating
    ? { reason: 'shutdown', since: now, stage: 'choosing' }
    : {
        reason: 'switchover',
        id: wish!.id,
        since: now,
        stage: 'choosing',
        ...(wish!.to ? { to: wish!.to } : {}),
      };
  s.handover = plan;
  continueHandover(c);
}

/** A wish for a switchover must not hold up the stop of the pod that came after it. */
export function continueHandover(c: Context): void {
  const { s } = c;
  const plan = s.handover!;
  if (s.terminating && plan.reason === 'switchover') {
    plan.reason = 'shutdown';
    plan.since = c.now;
  }
  if (s.view!.process === 'stopped' && plan.stage !== 'verifying') plan.stage = 'verifying';
  if (plan.stage === 'choosing') choose(c, plan);
  else if (plan.stage === 'checkpoint') begin(c, { kind: 'checkpoint' });
  else if (plan.stage === 'stopping') stop(c);
  else verify(c, plan);
}

function stop(c: Context): void {
  begin(c, { kind: 'stop', fastMs: settingsOf(c.s).fastStopMs, immediateMs: 5_000 });
}

function choose(c: Context, plan: HandoverPlan): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const others = record.members.some((member) => member.name !== s.self.name);
  if (others && (!s.lastAsked || s.lastAsked.mono < plan.since.mono)) {
    s.askDue = true;
    waitFor(c, 'an answer of the other instances');
    return;
  }
  const close = others ? closeTargets(c, record, plan) : [];
  const target = plan.to ? close.find((name) => name === plan.to) : close[0];
  const limit = plan.reason === 'shutdown' ? SHUTDOWN_CHOICE_MS : settingsOf(s).switchoverMs;
  if (target) chosen(c, plan, target);
  else if (others && elapsed(plan.since, now) < limit && !nobodyIsLeft(c, record, plan)) {
    s.askDue = true;
    s.observeDue = true;
    wakeIn(c, 100);
    waitFor(c, `${plan.to ?? 'a replica'} to catch up before the hand-over`, limit);
  } else if (plan.reason === 'shutdown') chosen(c, plan, undefined);
  else abandon(c, `${plan.to ?? 'no replica'} was not ready to take over within ${limit / 1000} s`);
}

/** How long a pod that is being stopped waits for peers that do not answer at all. */
const SILENCE_MS = 1_000;

/** The whole cluster stops, not this pod alone: nobody streams from us, and who answers is stopping as well. */
function nobodyIsLeft({ s, now }: Context, record: LeaseRecord, plan: HandoverPlan): boolean {
  if (plan.reason !== 'shutdown' || s.view?.replication.some((row) => row.state === 'streaming'))
    return false;
  const answers = answersSince(s, plan.since.mono);
  return record.members
    .filter((member) => member.name !== s.self.name)
    .every(({ name }) => {
      const answer = answers.find((report) => report.name === name);
      return answer ? isStopping(answer) : elapsed(plan.since, now) >= SILENCE_MS;
    });
}

function isStopping(report: PeerReport): boolean {
  return report.state === 'demoting' || report.state === 'stopped';
}

/** Members that stream from us, answer, could lead and are close; synchronous ones first, then the least lag. */
function closeTargets(c: Context, record: LeaseRecord, plan: HandoverPlan): string[] {
  const { s } = c;
  const current = parseLsn(s.view?.currentLsn) ?? 0n;
  const able = new Set(
    answersSince(s, plan.since.mono)
      .filter((report) => couldLead(s, record, report))
      .map((report) => report.name),
  );
  return (s.view?.replication ?? [])
    .filter((row) => able.has(row.name) && row.state === 'streaming')
    .map((row) => ({
      name: row.name,
      sync: ['sync', 'quorum'].includes(row.syncState),
      lag: current - (parseLsn(row.flushLsn) ?? 0n),
    }))
    .filter((row) => row.lag <= CLOSE_BYTES)
    .sort((a, b) => Number(b.sync) - Number(a.sync) || Number(a.lag - b.lag))
    .map((row) => row.name);
}

function chosen(c: Context, plan: HandoverPlan, target: string | undefined): void {
  if (target) plan.to = target;
  else delete plan.to;
  plan.stage = target ? 'checkpoint' : 'stopping';
  if (target)
    note(c, 'Normal', 'HandingOver', `${c.s.self.name} hands leadership to ${target} (${plan.reason})`);
  continueHandover(c);
}

/** PostgreSQL is stopped: whoever has its last record leads next. */
function verify(c: Context, plan: HandoverPlan): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const end = s.view!.cleanShutdown ? parseLsn(s.view!.checkpointLsn) : undefined;
  const dead = s.deadSince ?? now;
  const others = record.members.some((member) => member.name !== s.self.name);
  const answered = s.lastAsked !== undefined && s.lastAsked.mono >= dead.mono;
  if (others && !answered && within(c, dead, AFTER_DEATH_MS)) {
    s.askDue = true;
    waitFor(c, 'an answer of the other instances', AFTER_DEATH_MS);
    return;
  }
  if (end === undefined) {
    finish(c, plan, successorByQuorum(c, record, dead.mono), undefined);
    return;
  }
  const complete = answersSince(s, dead.mono)
    .filter((report) => couldLead(s, record, report))
    .filter((report) => (peerPosition(report)?.lsn ?? 0n) > end)
    .map((report) => report.name);
  const to = plan.to && complete.includes(plan.to) ? plan.to : undefined;
  if (to) {
    finish(c, plan, { to, position: formatLsn(end) }, formatLsn(end));
    return;
  }
  const waited = elapsed(dead, now);
  const gone = answersSince(s, dead.mono).some((report) => report.name === plan.to && isStopping(report));
  if (plan.to && !gone && waited < VERIFY_MS) {
    s.askDue = true;
    wakeIn(c, ASK_MS);
    waitFor(c, `${plan.to} to have everything up to ${formatLsn(end)}`, VERIFY_MS);
    return;
  }
  const other = complete[0];
  finish(c, plan, other ? { to: other, position: formatLsn(end) } : undefined, formatLsn(end));
}

function finish(
  c: Context,
  plan: HandoverPlan,
  next: Successor | undefined,
  position: string | undefined,
): void {
  const { s } = c;
  if (!next && !s.terminating) {
    abandon(c, `${plan.to} did not receive everything in time; ${s.self.name} starts again`);
    return;
  }
  if (plan.id) s.switchoverOutcome = { id: plan.id, outcome: 'done' };
  s.release = next
    ? { ...next, why: plan.reason }
    : { why: 'this instance is being stopped', ...(position ? { position } : {}) };
  waitFor(c, 'the Lease to be released');
}

function abandon(c: Context, why: string): void {
  const { s } = c;
  if (s.handover?.id) s.switchoverOutcome = { id: s.handover.id, outcome: 'failed', why };
  delete s.handover;
  s.stayLeader = c.now;
  note(c, 'Warning', 'SwitchoverFailed', why);
}

export interface Successor {
  to: string;
  position: string;
}

/**
 * Who certainly has every acknowledged commit: under a required rule, the furthest of a quorum. Undefined when
 * there is no such rule, or too few have answered.
 */
export function successorByQuorum(c: Context, record: LeaseRecord, sinceMono: number): Successor | undefined {
  const { s } = c;
  const required = record.rules.filter((rule) => rule.required);
  if (required.length === 0) return undefined;
  const able = answersSince(s, sinceMono).filter(
    (report) => couldLead(s, record, report) && peerPosition(report),
  );
  const names = new Set(able.map((report) => report.name));
  if (required.some((rule) => rule.names.filter((name) => names.has(name)).length < quorumOf(rule)))
    return undefined;
  const best = furthest(able);
  return best && { to: best.name, position: formatLsn(peerPosition(best)!.lsn) };
}

function furthest(reports: PeerReport[]): PeerReport | undefined {
  return reports.reduce<PeerReport | undefined>((best, report) => {
    if (!best) return report;
    const order = comparePositions(peerPosition(report) as Position, peerPosition(best) as Position);
    return order > 0 || (order === 0 && report.name < best.name) ? report : best;
  }, undefined);
}

/** The database is dead and we lead: hand over to a synchronous replica that has everything, else start in place. */
export function succeedAfterDeath(c: Context): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const settings = settingsOf(s);
  const dead = s.deadSince ?? now;
  const others = record.members.some((member) => member.name !== s.self.name);
  const noData = s.view!.data !== 'present';
  const required = record.rules.some((rule) => rule.required);
  const staying = s.stayLeader !== undefined && elapsed(s.stayLeader, now) < settings.primaryStartMs;
  if (others && (required || noData) && !staying && !s.giveUp) {
    const answered = s.lastAsked !== undefined && s.lastAsked.mono >= dead.mono;
    if (!answered && within(c, dead, AFTER_DEATH_MS)) {
      s.askDue = true;
      waitFor(c, 'an answer of the other instances', AFTER_DEATH_MS);
      return;
    }
    const next = successorByQuorum(c, record, dead.mono);
    if (next) {
      s.release = { ...next, why: 'PostgreSQL died' };
      waitFor(c, 'the Lease to be released');
      return;
    }
  }
  if (noData) {
    s.release = { why: `the data directory is ${s.view!.data}` };
    waitFor(c, 'the Lease to be released');
    return;
  }
  if (s.giveUp || (others && startFailedTooLong(c))) {
    delete s.giveUp;
    s.release = { why: 'PostgreSQL could not be started in time' };
    waitFor(c, 'the Lease to be released');
    return;
  }
  restart(c, record);
}

function startFailedTooLong({ s, now }: Context): boolean {
  return s.failingSince !== undefined && elapsed(s.failingSince, now) >= settingsOf(s).primaryStartMs;
}

function restart(c: Context, record: LeaseRecord): void {
  const { s, rules } = c;
  const kind = rules.mayContinueAsPrimary(s) ? 'startPrimary' : 'startStandby';
  if (!mayRetry(c, kind)) {
    waitFor(c, `another try to start PostgreSQL: ${s.error?.message ?? 'it failed'}`);
    return;
  }
  const rule = ruleToApply(c, record.members);
  if (!rules.mayApply(rule, record)) {
    waitFor(c, 'the commit rule to be recorded');
    return;
  }
  if (kind === 'startPrimary') begin(c, { kind, syncNames: ruleText(rule) });
  else begin(c, { kind, upstream: null, applicationName: s.self.name });
}
