/** What is written to the Lease, and when: renewals, what the leader records, taking it, giving it up. */
import { elapsed } from './clock.ts';
import { sameRule, withRule } from './commit-rule.ts';
import { type Context, mayRetry, recordOf, settingsOf, wakeIn } from './context.ts';
import type { WritePurpose } from './events.ts';
import { formatLsn } from './lsn.ts';
import { nextMembership, ruleToApply, runsAsPrimary, watchJoining, withSelf } from './membership.ts';
import { ownPosition } from './positions.ts';
import type { KnownLease } from './state.ts';
import type { LeaseLeader, LeaseRecord } from './types.ts';

const WRITE_TIMEOUT_MS = 1_500;

/** One write at a time, none before the fate of the last one is known, and none without having read the Lease. */
export function mayWrite(c: Context): boolean {
  const { s } = c;
  if (s.write || s.staleLease || !s.lease || !s.settings || s.exiting) return false;
  return mayRetry(c, 'write');
}

function write(c: Context, purpose: WritePurpose, record: LeaseRecord): void {
  const { s } = c;
  const id = s.nextId++;
  s.write = { id, purpose, record };
  c.actions.push({
    type: 'writeLease',
    id,
    version: s.lease!.version,
    purpose,
    record,
    timeoutMs: WRITE_TIMEOUT_MS,
  });
}

// --- the leader -------------------------------------------------------------------------------------------------

/** The leader renews, records what has changed, or gives the Lease up. */
export function tendHeld(c: Context, lease: KnownLease): void {
  const { s, now, rules } = c;
  const settings = settingsOf(s);
  const held = s.held!;
  if (!rules.isHeldBy(lease.record, s.self.identity)) {
    take(c, lease, held.continuing);
    return;
  }
  if (s.release && rules.mayRelease(s)) {
    write(c, 'release', releasedRecord(c, lease.record));
    return;
  }
  if (runsAsPrimary(c)) watchJoining(c);
  const next = leaderRecord(c, lease.record);
  if (isNews(next, lease.record) || elapsed(held.t0, now) >= settings.renewMs) {
    write(c, 'renew', next);
    return;
  }
  wakeIn(c, settings.renewMs - elapsed(held.t0, now));
}

function selfAsLeader({ s }: Context): LeaseLeader {
  const { name, podUID, address, containerID } = s.self;
  return { name, podUID, address, ...(containerID ? { containerID } : {}) };
}

function leaderRecord(c: Context, record: LeaseRecord): LeaseRecord {
  const { s } = c;
  // A Lease that was put back to an older state while we hold it: nobody would believe its epoch.
  const epoch = Math.max(record.epoch, s.held!.epoch);
  const next: LeaseRecord = { ...record, epoch, ...nextMembership(c, record), leader: selfAsLeader(c) };
  next.handover = undefined;
  // To be promoted again, or without an election: the number of the new timeline is reserved first.
  if (s.held!.timeline === undefined && s.view?.process === 'running' && s.view.inRecovery === true)
    next.reserved = c.rules.timelineToReserve(record, s);
  if (runsAsPrimary(c)) {
    if (s.view!.timeline) {
      next.timeline = s.view!.timeline;
      next.settled = { epoch, ...s.view!.branch };
    }
    if (s.view!.currentLsn) next.position = s.view!.currentLsn;
    const systemID = record.systemID ?? s.view!.systemID;
    if (systemID) next.systemID = systemID;
  }
  return next;
}

/** Whether what the leader says differs in more than its position, which can wait for the next renewal. */
function isNews(next: LeaseRecord, before: LeaseRecord): boolean {
  return (
    next.epoch !== before.epoch ||
    next.systemID !== before.systemID ||
    next.timeline !== before.timeline ||
    next.reserved !== before.reserved ||
    next.handover !== before.handover ||
    !sameFields(next.leader, before.leader, ['name', 'podUID', 'address', 'containerID']) ||
    !sameFields(next.settled, before.settled, ['epoch', 'parent', 'start']) ||
    !sameList(next.members, before.members, (a, b) => sameFields(a, b, ['name', 'incarnation'])) ||
    !sameList(next.rules, before.rules, sameRule)
  );
}

function sameFields<T extends object>(a: T | undefined, b: T | undefined, fields: (keyof T)[]): boolean {
  return a === b || (!!a && !!b && fields.every((field) => a[field] === b[field]));
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((each, i) => same(each, b[i]!));
}

function releasedRecord(c: Context, record: LeaseRecord): LeaseRecord {
  const { to, position } = c.s.release!;
  const next: LeaseRecord = { ...record, holder: null };
  next.handover = undefined;
  if (position) next.position = position;
  if (to) next.handover = { to, position: position ?? '0/0', at: '' };
  return next;
}

// --- everyone else ----------------------------------------------------------------------------------------------

/**
 * Becomes leader on paper. PostgreSQL is started or promoted only once the swap is known to have succeeded.
 *
 * @param forced the id of a forced promotion: the rules of before, which might make commits wait for ever, are dropped
 */
export function take(c: Context, lease: KnownLease, continuing: boolean, forced?: string): void {
  const { s, rules } = c;
  const { record } = lease;
  const members = withSelf(c, record.members);
  const rule = ruleToApply(c, members);
  const next: LeaseRecord = {
    ...record,
    holder: s.self.identity,
    epoch: Math.max(record.epoch, s.epochSeen) + 1,
    leader: selfAsLeader(c),
    members,
    rules: forced ? [rule] : withRule(record.rules, rule),
  };
  next.handover = undefined;
  if (!continuing) {
    next.reserved = rules.timelineToReserve(record, s);
    const fork = ownPosition(s.view);
    // It will be promoted where its WAL ends: who has no more can follow under its own name before it is.
    if (fork) next.settled = { epoch: next.epoch, parent: fork.timeline, start: formatLsn(fork.lsn) };
  }
  const systemID = record.systemID ?? s.view?.systemID;
  if (systemID) next.systemID = systemID;
  const named = record.handover?.to;
  const tardy = named !== undefined && named !== s.self.name;
  s.takingOver = { continuing, ...(forced ? { forced } : {}), ...(tardy ? { tardy: named } : {}) };
  write(c, 'take', next);
}

/** Names the Lease's leader other than us, if there is one to follow; nobody is followed while a promise is outstanding. */
export function leaderToFollow(c: Context): LeaseLeader | undefined {
  if (c.s.promise) return undefined;
  const record = recordOf(c.s);
  if (!record?.holder || !record.leader || record.leader.name === c.s.self.name) return undefined;
  return record.leader;
}
