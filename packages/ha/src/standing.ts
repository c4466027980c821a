/** Standing for election: when the Lease is open, who may take it. */
import { awaitQuiet, seekPromises } from './candidacy.ts';
import { elapsed } from './clock.ts';
import {
  type Context,
  delaysFailover,
  note,
  refused,
  refusedStill,
  settingsOf,
  waitFor,
  wakeIn,
  within,
} from './context.ts';
import { take } from './lease.ts';
import { formatLsn, type Position, parseLsn } from './lsn.ts';
import { hasAllHandedOver, ownPosition } from './positions.ts';
import { HANDOVER_MS } from './rules.ts';
import type { KnownLease } from './state.ts';
import { firstNo, yes } from './types.ts';

const ASK_AGAIN_MS = 200;

/** Takes the Lease if it is open to us: to bring in data that were just initialised, or by standing for election. */
export function tendUnheld(c: Context, lease: KnownLease): void {
  const { s, rules } = c;
  const settings = settingsOf(s);
  if (s.view?.data === 'unclaimed' && s.view.process === 'stopped') {
    const alone = rules.mayInitialise(lease.record, { ...s, view: { ...s.view, data: 'empty' } }, settings);
    if (alone.ok && lease.record.holder === null && !s.terminating) take(c, lease, true);
    return;
  }
  stand(c, lease);
}

function stand(c: Context, lease: KnownLease): void {
  const { s, now, rules } = c;
  const { record } = lease;
  const settings = settingsOf(s);
  const opening = rules.opening(lease, s, settings, now);
  const forced = rules.isForced(record, s, settings);
  // A leader that is only silent may yet thaw: under a required rule its quorum is cut first, however long it was.
  const own = opening !== undefined && opening !== 'handover' && rules.ledLast(record, s);
  const byPromises =
    (!opening || opening === 'silent') &&
    rules.promisesDecide(record) &&
    rules.isGenuine(record, s.epochSeen) &&
    !forced &&
    !own;
  if (!opening && !(byPromises && rules.mayPromise(lease, s, settings, now).ok)) {
    standDown(c);
    if (byPromises) awaitQuiet(c, lease);
    return;
  }
  const fit = firstNo(rules.mayStand(record, s, settings), () =>
    rules.mayTakeNow(record, s, settings, opening ?? 'quiet'),
  );
  if (fit !== undefined) {
    standDown(c, `cannot stand for election: ${fit}`);
    return;
  }
  const reason = byPromises ? 'quiet' : opening!;
  if (s.election?.version !== lease.version || s.election.opening !== reason)
    s.election = { version: lease.version, since: now, opening: reason };
  if (s.standAfter && settings.instances > 1 && within(c, s.standAfter, settings.takeMs)) return;
  if (rules.isBound(record, s, settings, now)) {
    waitFor(c, 'the end of the time for which this instance lets the leader go on', rules.grantMs(settings));
    wakeIn(c, 200);
    return;
  }
  if (byPromises) {
    seekPromises(c, lease);
    return;
  }
  if (own) {
    take(c, lease, true);
    return;
  }
  if (opening === 'handover' && acceptHandover(c, lease)) return;
  contest(c, lease, opening!, forced ? settings.promote!.id : undefined);
}

function standDown(c: Context, why?: string): void {
  c.s.election = undefined;
  if (why && !c.s.waiting) waitFor(c, why);
}

/** The named successor needs to ask nobody: it leads as soon as it has everything. True while it has the first right. */
function acceptHandover(c: Context, lease: KnownLease): boolean {
  const { s, now } = c;
  // Kept from it for so long (it may have let the old leader go on), it stands like anyone: another may have come up.
  if (elapsed(s.election!.since, now) >= HANDOVER_MS) return false;
  if (hasAllHandedOver(lease.record, s, ownPosition(s.view))) {
    take(c, lease, false);
    return true;
  }
  // With a look under way, another one would have the promotion wait for it.
  if (s.observing === undefined) s.observeDue = true;
  wakeIn(c, 50);
  waitFor(
    c,
    `WAL up to ${lease.record.handover?.position}, handed over by ${lease.record.leader?.name}`,
    HANDOVER_MS,
  );
  return true;
}

/** Stands against the peers: only with fresh answers, and only if every rule lets us. */
function contest(c: Context, lease: KnownLease, opening: string, forced: string | undefined): void {
  const { s, now, rules } = c;
  const { record } = lease;
  const settings = settingsOf(s);
  const since = s.election!.since;
  const delayed = opening === 'dead' || opening === 'silent';
  if (delayed && !forced && delaysFailover(c, since)) return;
  if (!s.viewAt || s.viewAt.mono < since.mono) s.observeDue = true;
  refusedStill(c);
  if (!s.lastAsked || s.lastAsked.mono < since.mono) {
    s.askDue = true;
    return;
  }
  // Answers to different questions do not make one picture: what one said before may be out of date by another's.
  if (s.observeDue || s.asking) return;
  const mine = ownPosition(s.view);
  const verdict = firstNo(
    mine ? { ok: true } : { ok: false, why: 'this instance does not yet know how far it is' },
    () => rules.nobodyLeads(s, since.mono),
    () => (forced ? yes : rules.quorumAnswered(record, s, settings, mine, since.mono)),
    () => (forced ? yes : rules.nobodyAhead(record, s, mine!, since, now)),
    () => (forced ? yes : rules.withinLag(record, settings, mine!, since, now)),
  );
  if (verdict === undefined) {
    if (forced) noteLoss(c, lease, mine!);
    take(c, lease, false, forced);
    return;
  }
  refused(c, `cannot take over (${opening}): ${verdict}`);
  if (!mine) s.observeDue = true;
  if (elapsed(s.lastAsked, now) >= ASK_AGAIN_MS) {
    s.askDue = true;
    s.observeDue = true;
  } else wakeIn(c, ASK_AGAIN_MS - elapsed(s.lastAsked, now));
}

/** Says what may be lost: what the last leader is known to have had, or a peer has, and we have not. */
function noteLoss(c: Context, lease: KnownLease, mine: Position): void {
  const known = parseLsn(lease.record.position);
  const until = known !== undefined && known > mine.lsn ? ` up to ${lease.record.position} at least` : '';
  note(
    c,
    'Warning',
    'PromotedWithLoss',
    `${c.s.self.name} takes over by force: commits after ${formatLsn(mine.lsn)} on timeline ${mine.timeline}${until} may be lost`,
  );
}
