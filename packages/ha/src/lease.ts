/** What is written to the Lease, and when: renewals, what the leader records, taking it, giving it up. */
import { elapsed } from './clock.ts';
import { withRule } from './commit-rule.ts';
import { type Context, mayRetry, recordOf, settingsOf, waitFor, wakeIn, within } from './context.ts';
import type { WritePurpose } from './events.ts';
import { parseLsn } from './lsn.ts';
import { nextMembership, ruleToApply, runsAsPrimary, watchJoining, withSelf } from './membership.ts';
import { ownPosition } from './positions.ts';
import { HANDOVER_MS } from './rules.ts';
import type { KnownLease } from './state.ts';
import type { LeaseLeader, LeaseRecord } from './types.ts';

const WRITE_TIMEOUT_MS = 1_500;
const ASK_AGAIN_MS = 200;

/** One write at a time, and none before the fate of the last one is known. */
export function tendLease(c: Context): void {
  const { s } = c;
  if (s.write || s.staleLease || !s.lease || !s.settings || s.exiting) return;
  if (!mayRetry(c, 'write')) return;
  if (s.held) tendHeld(c, s.lease);
  else tendUnheld(c, s.lease);
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

function tendHeld(c: Context, lease: KnownLease): void {
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
  const changed = JSON.stringify(substance(next)) !== JSON.stringify(substance(lease.record));
  if (changed || elapsed(held.t0, now) >= settings.renewMs) {
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
  const next: LeaseRecord = { ...record, ...nextMembership(c, record), leader: selfAsLeader(c) };
  delete next.handover;
  if (runsAsPrimary(c)) {
    if (s.view!.timeline) {
      next.timeline = s.view!.timeline;
      next.settled = { epoch: record.epoch, ...s.view!.branch };
    }
    if (s.view!.currentLsn) next.position = s.view!.currentLsn;
  }
  return next;
}

/** What cannot wait for the next renewal: everything but the position. */
function substance(record: LeaseRecord): unknown {
  const { leader, timeline, settled, members, rules, systemID, handover } = record;
  return [
    leader?.name,
    leader?.podUID,
    leader?.address,
    leader?.containerID,
    timeline,
    settled,
    members,
    rules,
    systemID,
    handover,
  ];
}

function releasedRecord(c: Context, record: LeaseRecord): LeaseRecord {
  const { to, position } = c.s.release!;
  const next: LeaseRecord = { ...record, holder: null };
  delete next.handover;
  if (position) next.position = position;
  if (to) next.handover = { to, position: position ?? '0/0', at: '' };
  return next;
}

// --- everyone else ----------------------------------------------------------------------------------------------

function tendUnheld(c: Context, lease: KnownLease): void {
  const { s, rules } = c;
  const settings = settingsOf(s);
  if (s.view?.data === 'unclaimed' && s.view.process === 'stopped') {
    const alone = rules.mayInitialise(lease.record, { ...s, view: { ...s.view, data: 'empty' } }, settings);
    if (alone.ok && lease.record.holder === null && !s.terminating) take(c, lease, true);
    return;
  }
  stand(c, lease);
}

/** Becomes leader on paper. PostgreSQL is started or promoted only once the swap is known to have succeeded. */
function take(c: Context, lease: KnownLease, continuing: boolean): void {
  const { s } = c;
  const { record } = lease;
  const members = withSelf(c, record.members);
  const next: LeaseRecord = {
    ...record,
    holder: s.self.identity,
    epoch: Math.max(record.epoch, s.epochSeen) + 1,
    leader: selfAsLeader(c),
    members,
    rules: withRule(record.rules, ruleToApply(c, members)),
  };
  delete next.handover;
  const systemID = record.systemID ?? s.view?.systemID;
  if (systemID) next.systemID = systemID;
  s.takingOver = { continuing };
  write(c, 'take', next);
}

function stand(c: Context, lease: KnownLease): void {
  const { s, now, rules } = c;
  const { record } = lease;
  const settings = settingsOf(s);
  const opening = rules.opening(lease, s, settings, now);
  if (!opening) {
    standDown(c);
    return;
  }
  const fit = rules.mayStand(record, s, settings);
  if (!fit.ok) {
    standDown(c, `cannot stand for election: ${fit.why}`);
    return;
  }
  if (s.election?.version !== lease.version || s.election.opening !== opening)
    s.election = { version: lease.version, since: now, opening };
  if (s.standAfter && settings.instances > 1 && within(c, s.standAfter, settings.takeMs)) return;
  if (opening !== 'handover' && rules.ledLast(record, s)) {
    take(c, lease, true);
    return;
  }
  if (opening === 'handover' && acceptHandover(c, lease)) return;
  contest(c, lease, opening);
}

function standDown(c: Context, why?: string): void {
  delete c.s.election;
  if (why && !c.s.waiting) waitFor(c, why);
}

/** The named successor needs to ask nobody: it leads as soon as it has everything. True while it has the first right. */
function acceptHandover(c: Context, lease: KnownLease): boolean {
  const { s, now } = c;
  const mine = ownPosition(s.view);
  const all = parseLsn(lease.record.handover?.position) ?? 0n;
  if (mine && mine.lsn >= all) {
    take(c, lease, false);
    return true;
  }
  if (elapsed(s.election!.since, now) >= HANDOVER_MS) return false;
  s.observeDue = true;
  wakeIn(c, 50);
  waitFor(
    c,
    `WAL up to ${lease.record.handover?.position}, handed over by ${lease.record.leader?.name}`,
    HANDOVER_MS,
  );
  return true;
}

/** Stands against the peers: only with fresh answers, and only if every rule lets us. */
function contest(c: Context, lease: KnownLease, opening: string): void {
  const { s, now, rules } = c;
  const { record } = lease;
  const settings = settingsOf(s);
  const since = s.election!.since;
  const delayed = opening === 'dead' || opening === 'silent';
  if (delayed && within(c, since, settings.failoverDelayMs)) return;
  if (!s.viewAt || s.viewAt.mono < since.mono) s.observeDue = true;
  if (!s.lastAsked || s.lastAsked.mono < since.mono) {
    s.askDue = true;
    return;
  }
  if (s.observeDue) return;
  const mine = ownPosition(s.view);
  const verdict = firstNo(
    mine ? { ok: true } : { ok: false, why: 'this instance does not yet know how far it is' },
    () => rules.nobodyLeads(s, since.mono),
    () => rules.quorumAnswered(record, s, settings, mine, since.mono),
    () => rules.nobodyAhead(record, s, mine!, since, now),
    () => rules.withinLag(record, settings, mine!, since, now),
  );
  if (verdict === undefined) {
    take(c, lease, false);
    return;
  }
  waitFor(c, `cannot take over (${opening}): ${verdict}`);
  if (!mine) s.observeDue = true;
  if (elapsed(s.lastAsked, now) >= ASK_AGAIN_MS) {
    s.askDue = true;
    s.observeDue = true;
  } else wakeIn(c, ASK_AGAIN_MS - elapsed(s.lastAsked, now));
}

type Verdictish = { ok: true } | { ok: false; why: string };

function firstNo(first: Verdictish, ...rest: (() => Verdictish)[]): string | undefined {
  if (!first.ok) return first.why;
  for (const rule of rest) {
    const verdict = rule();
    if (!verdict.ok) return verdict.why;
  }
  return undefined;
}

/** Names the Lease's leader other than us, if there is one to follow. */
export function leaderToFollow(c: Context): LeaseLeader | undefined {
  const record = recordOf(c.s);
  if (!record?.holder || !record.leader || record.leader.name === c.s.self.name) return undefined;
  return record.leader;
}
