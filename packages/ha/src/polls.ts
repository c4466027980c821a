/** What is asked of the world, and how often: the Lease, the database, the peers, the routing of -rw. */
import { elapsed, type Now } from './clock.ts';
import { beginAside, type Context, mayRetry, recordOf, wakeIn } from './context.ts';
import { leaderToFollow } from './lease.ts';
import { someoneJoins } from './membership.ts';
import { isPromoted } from './positions.ts';
import { AFTER_DEATH_MS } from './rules/times.ts';

/** Short, so that a leader finds an API that is back in time to renew. */
const READ_TIMEOUT_MS = 700;
const ASK_TIMEOUT_MS = 400;
/** A quick look while something is changing. */
const BRISK_MS = 200;
/** Between two looks at the database, however urgent: a look that costs nothing must not become an endless circle. */
const CLOSEST_MS = 20;
const ASK_MS = 10_000;
/** How long after it was due a renewal is waited for before the members are asked; well under QUIET_MS. */
const GRANT_AFTER_MS = 400;
const GRANT_AGAIN_MS = 300;
/** How often the leader looks for slots that have lost their WAL, and a standby moves its own after the leader's. */
const SLOTS_MS = 10_000;
const FOLLOW_SLOTS_MS = 30_000;
const ROUTE_RETRY_MS = 300;
const ROUTE_CHECK_MS = 10_000;
/** A call that never answered is forgotten after this long, and made again. */
const FORGOTTEN_MS = 5_000;

export function poll(c: Context): void {
  if (c.s.exiting) return;
  readLease(c);
  observe(c);
  askPeers(c);
  askGrants(c);
  route(c);
  asides(c);
}

/** Whether something is due: `every` ms after `last`. Asks to be woken when not yet. */
function due(c: Context, last: Now | undefined, every: number): boolean {
  const age = last ? elapsed(last, c.now) : Number.POSITIVE_INFINITY;
  if (age >= every) return true;
  wakeIn(c, every - age);
  return false;
}

function underWay(c: Context, since: Now | undefined): boolean {
  return since !== undefined && !due(c, since, FORGOTTEN_MS);
}

/**
 * A leader learns of the Lease by its renewals; it reads only on a hint, or while it does not know what the Lease
 * says: after a write whose fate is unknown, or while there is no Lease.
 */
function readLease(c: Context): void {
  const { s, now } = c;
  if (underWay(c, s.reading)) return;
  // Whether what a watch saw is true the swap will tell.
  if (s.write?.purpose === 'take' && s.sight?.version !== s.lease?.version) return;
  const unsure = s.staleLease === true || !s.lease;
  const every = unsure ? BRISK_MS : (s.settings?.renewMs ?? 1_000);
  const wanted = s.readDue || unsure || !s.held;
  if (!wanted) return;
  // While the Lease cannot be read, it is not asked for in a circle.
  if (s.lastRead && (!s.readDue || !s.sight) && !due(c, s.lastRead, every)) return;
  s.readDue = false;
  s.reading = now;
  c.actions.push({ type: 'readLease', timeoutMs: READ_TIMEOUT_MS });
}

function observe(c: Context): void {
  const { s, now } = c;
  if (underWay(c, s.observing)) return;
  // A look that nothing asks for would only keep the promotion waiting that comes next.
  if (s.write?.purpose === 'take' && !s.observeDue) return;
  const steady = s.settings?.renewMs ?? 1_000;
  const brisk = s.held ? someoneIsExpected(c) : s.view?.process === 'running' && hasToProve(c);
  if (!due(c, s.viewAt, s.observeDue ? CLOSEST_MS : brisk ? BRISK_MS : steady)) return;
  s.observeDue = false;
  s.observing = now;
  c.actions.push({ type: 'observe' });
}

/** A standby that does not stream, or whose history is not proven to be its leader's: commits may be waiting for it. */
function hasToProve({ s }: Context): boolean {
  const record = s.lease?.record;
  return s.view?.streaming !== true || (record?.holder != null && s.proven !== record.epoch);
}

/** A rule is about to change, or an instance that has a pod is not a member yet: the leader looks out for it. */
function someoneIsExpected(c: Context): boolean {
  const record = recordOf(c.s);
  if (!record || record.rules.length > 1 || someoneJoins(c)) return true;
  const members = new Set(record.members.map((member) => member.name));
  return c.s.pods.some((pod) => !pod.deleting && !pod.leaving && !members.has(pod.instance));
}

/** Peers are asked when a decision needs their word; the leader also looks around from time to time. */
function askPeers(c: Context): void {
  const { s, now } = c;
  if (underWay(c, s.asking)) return;
  const joining = s.held !== undefined && someoneJoins(c);
  // While it is promoted nothing is to keep it, or them, from that.
  const free = s.held !== undefined && s.job?.job.kind !== 'promote';
  const curious = free && due(c, s.lastAsked, joining ? BRISK_MS : ASK_MS);
  if (!s.askDue && !curious) return;
  s.askDue = false;
  s.asking = now;
  const only = s.askOnly;
  s.askOnly = undefined;
  s.askingOnly = only !== undefined;
  const known = only ? [only] : s.pods.map((pod) => pod.instance);
  const names = [...new Set(known)].filter((name) => name !== s.self.name);
  const dead = s.held !== undefined && (s.deadSince ?? s.exitedAt) !== undefined;
  c.actions.push({ type: 'askPeers', names, timeoutMs: dead ? AFTER_DEATH_MS : ASK_TIMEOUT_MS });
}

/**
 * A leader whose renewal is overdue asks every member whether it may go on: before the others count the Lease as
 * quiet. One that has no other members needs to ask nobody.
 */
function askGrants(c: Context): void {
  const { s, now, rules } = c;
  // Who is giving up leadership has no use for it.
  if (!s.held || !s.settings || !s.lease || s.release) return;
  if (!rules.isHeldBy(s.lease.record, s.self.identity)) return;
  const { renewMs } = s.settings;
  if (!due(c, s.held.t0, renewMs + GRANT_AFTER_MS)) return;
  const members = [...s.lease.record.members, ...(s.perhapsMembers ?? [])];
  const names = [...new Set(members.map((member) => member.name))].filter((name) => name !== s.self.name);
  if (!due(c, s.held.grantedAt, renewMs / 2)) return;
  if (names.length === 0) {
    s.held = { ...s.held, grantedAt: now };
    wakeIn(c, renewMs / 2);
    return;
  }
  if (underWay(c, s.askingGrants) || !due(c, s.lastGrantsAsked, GRANT_AGAIN_MS)) return;
  s.askingGrants = now;
  s.lastGrantsAsked = now;
  c.actions.push({ type: 'askGrants', names, epoch: s.held.epoch, timeoutMs: ASK_TIMEOUT_MS });
}

/**
 * -rw is pointed at us as soon as the Lease is ours and PostgreSQL runs: while it is being promoted, so that
 * clients find it the moment it takes writes.
 */
function route(c: Context): void {
  const { s, now } = c;
  if (!s.held || s.routing || s.release || s.view?.process !== 'running' || !s.primaryMaybe) return;
  if (s.routed?.epoch === s.held.epoch && !due(c, s.routed.at, ROUTE_CHECK_MS)) return;
  if (s.lastRouteTry && !due(c, s.lastRouteTry, ROUTE_RETRY_MS)) return;
  s.routing = true;
  s.lastRouteTry = now;
  c.actions.push({ type: 'route', epoch: s.held.epoch });
}

function asides(c: Context): void {
  const { s } = c;
  if (s.job || s.view?.process !== 'running' || !s.view.sqlReachable) return;
  // Nothing is to be in the way of a promotion: what goes on beside it would come before it.
  if (s.view.inRecovery && (s.held || s.write?.purpose === 'take')) return;
  // On a standby too: after its promotion the others find their slots at once.
  const wanted = slotsWanted(c);
  const leader = s.view.streaming ? leaderToFollow(c) : undefined;
  const primary =
    leader && isPromoted(s.lease!.record) ? { name: leader.name, address: leader.address } : undefined;
  // Moved after a primary as soon as we stream from it: it may be gone before the next turn.
  const others =
    (wanted !== s.slotsFor && wanted.join() !== s.slotsFor?.join()) ||
    (primary !== undefined && primary.name !== s.slotsAfter);
  if (
    !s.asides.slots &&
    mayRetry(c, 'slots') &&
    (others || due(c, s.slotsAt, s.held ? SLOTS_MS : FOLLOW_SLOTS_MS))
  ) {
    s.slotsFor = wanted;
    s.slotsAfter = primary?.name;
    s.slotsAt = c.now;
    beginAside(c, { kind: 'slots', instances: wanted, ...(primary ? { primary } : {}) });
  }
  if (s.checkpointDue && !s.asides.checkpoint && mayRetry(c, 'checkpoint')) {
    s.checkpointDue = false;
    beginAside(c, { kind: 'checkpoint' });
  }
}

/** Slots for every instance that exists, is recorded, or has a pod: one that joins needs its slot before it is a member. */
function slotsWanted({ s }: Context): string[] {
  const { pods } = s;
  const members = s.lease?.record.members;
  const names = s.settings?.instanceNames;
  const last = s.slotsOf;
  if (last && last.pods === pods && last.members === members && last.names === names) return last.wanted;
  const all = [
    ...pods.map((pod) => pod.instance),
    ...(members ?? []).map((member) => member.name),
    ...(names ?? []),
  ];
  const wanted = [...new Set(all)].filter((name) => name !== s.self.name).sort();
  s.slotsOf = { pods, members, names, wanted };
  return wanted;
}
