/** How a leader goes by plan: because it is asked to, is being stopped, is fenced, or is to be removed. */
import { elapsed, type Now } from './clock.ts';
import {
  backOff,
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
import { formatLsn } from './lsn.ts';
import { runsAsPrimary } from './membership.ts';
import { answersSince, couldLead, endOfShutdown, peerPosition } from './positions.ts';
import { isLeaving } from './rules/members.ts';
import { AFTER_DEATH_MS } from './rules/times.ts';
import { roomNotFound, wantsRoom } from './space.ts';
import type { HandoverPlan } from './state.ts';
import { type Successor, successorByQuorum } from './succession.ts';
import {
  closeTargets,
  forcedTarget,
  goesAnyway,
  isStopping,
  isTardy,
  neverATarget,
  nobodyIsLeft,
  notReady,
} from './targets.ts';
import type { LeaseRecord } from './types.ts';

/** How long a pod that is being stopped looks for a successor before it stops without. */
const SHUTDOWN_CHOICE_MS = 5_000;
/** How long a target may take to become ready when nobody said that it is to be waited for. */
const READY_MS = 5_000;
/** A checkpoint before the stop shortens the stop; one that takes too long is not waited for. */
const CHECKPOINT_MS = 20_000;
const HASTY_CHECKPOINT_MS = 5_000;
/** How long after the stop the target may take to confirm the last record. */
const VERIFY_MS = 3_000;
const ASK_MS = 50;

export function isFenced({ s }: Context): boolean {
  return settingsOf(s).fenced.includes(s.self.name);
}

/** Why this leader is to go now, if it is. */
function reasonToGo(c: Context): HandoverPlan['reason'] | undefined {
  const { s } = c;
  if (s.terminating) return 'shutdown';
  if (isFenced(c)) return 'fence';
  if (!runsAsPrimary(c)) return undefined;
  const wish = settingsOf(s).switchover;
  const meant = wish?.from === s.self.name && wish.id !== s.switchoverOutcome?.id && !isTooLate(c);
  if (meant) return 'switchover';
  if (wantsRoom(c)) return 'full';
  const leaving = isLeaving(s, s.self.name) && !settingsOf(s).maintenance && hasOthers(c, recordOf(s)!);
  return leaving && mayRetry(c, 'leaving') ? 'leaving' : undefined;
}

export function wantsHandover(c: Context): boolean {
  return reasonToGo(c) !== undefined;
}

function hasOthers({ s }: Context, record: LeaseRecord): boolean {
  return record.members.some((member) => member.name !== s.self.name);
}

export function beginHandover(c: Context): void {
  const { s, now } = c;
  const reason = reasonToGo(c)!;
  const plan: HandoverPlan = { reason, since: now, stage: 'choosing' };
  if (reason === 'switchover') {
    const { id, to, force } = settingsOf(s).switchover!;
    plan.id = id;
    if (to) plan.to = to;
    if (force) plan.force = true;
  }
  s.handover = plan;
  if (inPlace(c, plan)) {
    plan.stage = 'checkpoint';
    continueHandover(c);
    return;
  }
  const refused = plan.to && neverATarget(c, plan.to, plan.force);
  if (refused) abandon(c, refused);
  else continueHandover(c);
}

/** A wish for a switchover must not hold up the stop of the pod that came after it. */
export function continueHandover(c: Context): void {
  const { s } = c;
  const plan = s.handover!;
  if (s.terminating && plan.reason !== 'shutdown') {
    if (inPlace(c, plan)) plan.to = undefined;
    plan.reason = 'shutdown';
    plan.since = c.now;
  }
  if (plan.reason === 'fence' && plan.stage === 'choosing' && !isFenced(c)) {
    abandon(c, 'the fence was lifted');
    return;
  }
  if (isCalledOff(c, plan)) {
    abandon(c, 'the switchover was called off');
    return;
  }
  if (s.view!.process === 'stopped' && plan.stage !== 'verifying') plan.stage = 'verifying';
  if (plan.stage === 'choosing') choose(c, plan);
  else if (plan.stage === 'checkpoint') begin(c, { kind: 'checkpoint' });
  else if (plan.stage === 'stopping') stop(c);
  else if (inPlace(c, plan)) startAgain(c, plan);
  else verify(c, plan);
}

/** The wish was taken back while nothing had been stopped for it yet. */
function isCalledOff(c: Context, { reason, id, stage }: HandoverPlan): boolean {
  const { s } = c;
  return (
    reason === 'switchover' && stage === 'choosing' && (settingsOf(s).switchover?.id !== id || isTooLate(c))
  );
}

/** Nobody expects the switchover any more, and nobody may be there to take the wish back. */
function isTooLate({ s, now }: Context): boolean {
  return now.wall >= (settingsOf(s).switchover?.untilWall ?? Number.POSITIVE_INFINITY);
}

/** A leader that is asked to hand over to itself restarts: some settings come into force in no other way. */
function inPlace({ s }: Context, plan: HandoverPlan): boolean {
  return plan.to === s.self.name;
}

/** Stopped in order, it has lost nothing and still leads: nobody else is to take over. */
function startAgain({ s, now }: Context, plan: HandoverPlan): void {
  s.switchoverOutcome = { id: plan.id!, outcome: 'done' };
  s.stayLeader = now;
  s.handover = undefined;
  s.waiting = undefined;
}

/** How long the checkpoint before the stop may take. */
export function checkpointMs({ s }: Context): number {
  if (s.handover?.reason !== 'switchover') return HASTY_CHECKPOINT_MS;
  return Math.min(CHECKPOINT_MS, settingsOf(s).switchoverMs);
}

export function stop(c: Context): void {
  const plan = c.s.handover;
  const heir = plan?.to !== undefined && !inPlace(c, plan);
  begin(c, {
    kind: 'stop',
    fastMs: settingsOf(c.s).fastStopMs,
    immediateMs: 5_000,
    ...(heir ? { heir } : {}),
  });
}

function choose(c: Context, plan: HandoverPlan): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const settings = settingsOf(s);
  const others = record.members.some(
    (member) => member.name !== s.self.name && !settings.fenced.includes(member.name),
  );
  // Under maintenance nobody would take what is handed over because of a stop.
  if (goesAnyway(plan) && (!others || settings.maintenance)) {
    chosen(c, plan, undefined);
    return;
  }
  if (others && (!s.lastAsked || s.lastAsked.mono < plan.since.mono)) {
    s.askDue = true;
    waitFor(c, 'an answer of the other instances');
    return;
  }
  const close = others ? closeTargets(c, record, plan) : [];
  const target = plan.to ? close.find((name) => name === plan.to) : close[0];
  const patience = goesAnyway(plan) ? SHUTDOWN_CHOICE_MS : plan.force ? settings.switchoverMs : READY_MS;
  const limit = Math.min(patience, Math.max(settings.switchoverMs, READY_MS));
  if (target) chosen(c, plan, target);
  else if (others && elapsed(plan.since, now) < limit && !nobodyIsLeft(c, record, plan)) {
    s.askDue = true;
    s.observeDue = true;
    wakeIn(c, 100);
    waitFor(c, `${plan.to ?? 'a replica'} to be ready for the hand-over`, limit);
  } else if (goesAnyway(plan)) chosen(c, plan, undefined);
  else abandon(c, notReady(c, plan));
}

function chosen(c: Context, plan: HandoverPlan, target: string | undefined): void {
  if (target) plan.to = target;
  else plan.to = undefined;
  plan.stage = target ? 'checkpoint' : 'stopping';
  if (target)
    note(c, 'Normal', 'HandingOver', `${c.s.self.name} hands leadership to ${target} (${plan.reason})`);
  continueHandover(c);
}

/** The postmaster has ended, and the stop is not over yet: the target is asked already. */
export function askAhead({ s }: Context): void {
  const to = s.handover?.stage === 'stopping' ? s.handover.to : undefined;
  if (!to || to === s.self.name || !s.exitedAt) return;
  const asked = [s.peers[to]?.askedAt, s.asking].some((at) => at && at.mono >= s.exitedAt!.mono);
  if (asked) return;
  s.askDue = true;
  s.askOnly = to;
}

/**
 * True while those have not answered since `since` whose word is needed now that PostgreSQL is stopped: the target, else
 * everybody.
 */
function awaitsWord(c: Context, target: string | undefined, since: Now): boolean {
  const { s } = c;
  const asked = target ? s.peers[target]?.askedAt : undefined;
  const answered = [asked, s.lastAsked].some((at) => at !== undefined && at.mono >= since.mono);
  if (answered || !within(c, since, AFTER_DEATH_MS)) return false;
  waitFor(c, `an answer of ${target ?? 'the other instances'}`, AFTER_DEATH_MS);
  if (target && s.asking && s.asking.mono >= since.mono) return true;
  s.askDue = true;
  // Another that does not answer must not delay it.
  if (target) s.askOnly = target;
  return true;
}

/** True while the target, which has answered, may still get the last record. */
function awaitsEnd(c: Context, to: string, dead: Now, end: bigint): boolean {
  const { s, now } = c;
  const waited = elapsed(dead, now);
  const gone = answersSince(s, dead.mono).some((report) => report.name === to && isStopping(report));
  if (gone || waited >= VERIFY_MS) return false;
  s.askDue = true;
  if (waited < VERIFY_MS / 2) s.askOnly = to;
  wakeIn(c, ASK_MS);
  waitFor(c, `${to} to have everything up to ${formatLsn(end)}`, VERIFY_MS);
  return true;
}

/** PostgreSQL is stopped: whoever has its last record leads next. */
function verify(c: Context, plan: HandoverPlan): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const end = endOfShutdown(s.view!);
  const dead = s.deadSince ?? now;
  const others = hasOthers(c, record) && !(goesAnyway(plan) && settingsOf(s).maintenance);
  // A word since the end of a clean stop is enough: whoever has its last record then has everything.
  const since = end === undefined ? dead : (s.exitedAt ?? dead);
  if (others && awaitsWord(c, plan.to && end !== undefined ? plan.to : undefined, since)) return;
  if (end === undefined) {
    finish(c, plan, successorByQuorum(c, record, dead.mono), undefined);
    return;
  }
  const complete = answersSince(s, since.mono)
    .filter((report) => couldLead(s, record, report, forcedTarget(plan)))
    .filter((report) => (peerPosition(report)?.lsn ?? 0n) > end)
    .map((report) => report.name);
  const to = plan.to && complete.includes(plan.to) ? plan.to : undefined;
  if (to) {
    finish(c, plan, { to, position: formatLsn(end) }, formatLsn(end));
    return;
  }
  if (plan.to && awaitsEnd(c, plan.to, dead, end)) return;
  const other = others ? (complete.find((name) => !isTardy(s, name, now)) ?? complete[0]) : undefined;
  finish(c, plan, other ? { to: other, position: formatLsn(end) } : undefined, formatLsn(end));
}

function finish(
  c: Context,
  plan: HandoverPlan,
  next: Successor | undefined,
  position: string | undefined,
): void {
  const { s } = c;
  s.askOnly = undefined;
  if (!next && !goesAnyway(plan)) {
    abandon(c, `${plan.to} did not receive everything in time; ${s.self.name} starts again`);
    return;
  }
  if (plan.id && next)
    s.switchoverOutcome =
      !plan.to || next.to === plan.to
        ? { id: plan.id, outcome: 'done' }
        : {
            id: plan.id,
            outcome: 'failed',
            why: `${plan.to} did not receive everything in time; ${next.to} takes over`,
          };
  else if (plan.id) s.switchoverOutcome = { id: plan.id, outcome: 'failed', why: 'the leader was stopped' };
  const why = plan.reason === 'fence' ? 'this instance is fenced' : 'this instance is being stopped';
  s.release = next ? { ...next, why: plan.reason } : { why, ...(position ? { position } : {}) };
  waitFor(c, 'the Lease to be released');
}

/** The leader stays. If PostgreSQL was stopped for the hand-over it starts again. */
function abandon(c: Context, why: string): void {
  const { s, now } = c;
  const plan = s.handover!;
  if (plan.id) s.switchoverOutcome = { id: plan.id, outcome: 'failed', why };
  if (plan.reason === 'leaving') backOff(s, 'leaving', now, 60_000);
  if (plan.reason === 'full') roomNotFound(c);
  if (plan.stage !== 'choosing') s.stayLeader = now;
  s.handover = undefined;
  s.waiting = undefined;
  const reason = plan.reason === 'switchover' ? 'SwitchoverFailed' : 'HandoverFailed';
  note(c, 'Warning', reason, why);
}
