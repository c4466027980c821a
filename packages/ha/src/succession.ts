/** The database is dead and we lead: who has everything leads next, or we start in place. */
import { elapsed, type Now } from './clock.ts';
import { quorumOf, ruleText } from './commit-rule.ts';
import { begin, type Context, mayRetry, recordOf, settingsOf, waitFor, within } from './context.ts';
import { comparePositions, formatLsn, type Position } from './lsn.ts';
import { ruleToApply } from './membership.ts';
import { answersSince, couldLead, goesFirst, peerPosition } from './positions.ts';
import { AFTER_DEATH_MS } from './rules/times.ts';
import { fullVolume, hasRoom, waitForSpace } from './space.ts';
import { isTardy } from './targets.ts';
import type { LeaseRecord, PeerReport } from './types.ts';

/** A renewal that is overdue for so long says that the API is away. */
const API_AWAY_MS = 1_000;

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
  const best = furthest(c, able);
  // On a full volume it would end as we did: then we wait for space, and nobody else has to.
  if (best && fullVolume(s.view) && !hasRoom(best)) return undefined;
  // We have everything ourselves, unless the volume is full; and without data the Lease is left to whoever can take it.
  if (best && isTardy(s, best.name, c.now) && !fullVolume(s.view)) return undefined;
  return best && { to: best.name, position: formatLsn(peerPosition(best)!.lsn) };
}

/** Among those that are as far: who was not tardy, who has room, who goes first. */
function furthest({ s, now }: Context, reports: PeerReport[]): PeerReport | undefined {
  const late = (report: PeerReport) => isTardy(s, report.name, now);
  return reports.reduce<PeerReport | undefined>((best, report) => {
    if (!best) return report;
    const order = comparePositions(peerPosition(report) as Position, peerPosition(best) as Position);
    if (order === 0 && late(report) !== late(best)) return late(report) ? best : report;
    if (order === 0 && hasRoom(report) !== hasRoom(best)) return hasRoom(report) ? report : best;
    return order > 0 || (order === 0 && goesFirst(s, report.name, best.name)) ? report : best;
  }, undefined);
}

/** The database is dead and we lead: hand over to a synchronous replica that has everything, else start in place. */
export function succeedAfterDeath(c: Context): void {
  const { s, now } = c;
  const record = recordOf(s)!;
  const settings = settingsOf(s);
  const dead = s.deadSince ?? now;
  const others = record.members.some((member) => member.name !== s.self.name);
  const foreign = c.rules.isForeign(record, s, settings);
  const noData = s.view!.data !== 'present' || foreign;
  const required = record.rules.some((rule) => rule.required);
  const staying = s.stayLeader !== undefined && elapsed(s.stayLeader, now) < settings.primaryStartMs;
  // With a delay it is to come back in place first; what cannot be started is not waited for.
  const patient = !noData && !(s.failingSince && elapsed(s.failingSince, now) >= settings.failoverDelayMs);
  const stays = staying || (settings.failoverDelayMs > 0 && patient);
  const looks = (required || noData) && !stays && !s.giveUp && !settings.maintenance && !apiIsAway(c);
  if (others && looks && goesToAnother(c, record, dead, noData ? undefined : s.streamed)) return;
  if (noData) {
    s.release = {
      why: foreign ? 'the data are of another database' : `the data directory is ${s.view!.data}`,
    };
    waitFor(c, 'the Lease to be released');
    return;
  }
  const full = fullVolume(s.view);
  if (full) {
    s.failingSince = undefined;
    waitForSpace(c, full);
    return;
  }
  if (s.giveUp || (others && startFailedTooLong(c))) {
    s.giveUp = undefined;
    s.release = { why: 'PostgreSQL could not be started in time' };
    waitFor(c, 'the Lease to be released');
    return;
  }
  restart(c, record);
}

/** True while the answers of others are waited for, and when one of them is to lead. */
function goesToAnother(
  c: Context,
  record: LeaseRecord,
  dead: Now,
  streamed: readonly string[] | undefined,
): boolean {
  const { s } = c;
  const open = awaited(c, record, dead, streamed);
  if (open.length > 0 && within(c, dead, AFTER_DEATH_MS)) {
    if (!s.asking || s.asking.mono < dead.mono) s.askDue = true;
    waitFor(c, `an answer of ${open.join(', ')}`, AFTER_DEATH_MS);
    return true;
  }
  const next = successorByQuorum(c, record, dead.mono);
  if (!next) return false;
  s.release = { ...next, why: 'PostgreSQL died' };
  waitFor(c, 'the Lease to be released');
  return true;
}

/**
 * Whose answer is still to come: of the members that streamed from the dead primary. Where that is not known, or no data
 * of use are left here, of all.
 */
function awaited(
  { s }: Context,
  record: LeaseRecord,
  dead: Now,
  streamed: readonly string[] | undefined,
): string[] {
  if (s.lastAsked && s.lastAsked.mono >= dead.mono) return [];
  const heard = new Set(answersSince(s, dead.mono).map((report) => report.name));
  return record.members
    .map((member) => member.name)
    .filter((name) => name !== s.self.name && !heard.has(name))
    .filter((name) => streamed?.includes(name) ?? true);
}

/** Nothing can be released while the Lease cannot be written: to start in place is all that is left. */
function apiIsAway({ s, now }: Context): boolean {
  return s.held !== undefined && elapsed(s.held.t0, now) > settingsOf(s).renewMs + API_AWAY_MS;
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
  else begin(c, { kind, upstream: null, applicationName: s.self.name, syncNames: ruleText(rule) });
}
