/** Who is fit to lead, once the Lease is open (ELECTION 1, 5, 6). */

import { elapsed, type Now } from '../clock.ts';
import { quorumOf } from '../commit-rule.ts';
import { comparePositions, type Position, parseLsn } from '../lsn.ts';
import {
  answersSince,
  couldLead,
  couldLeadSoon,
  goesFirst,
  hasAllHandedOver,
  isPromotedByHand,
  isRecorded,
  peerPosition,
  priorityOf,
} from '../positions.ts';
import { fullVolume } from '../space.ts';
import type { State } from '../state.ts';
import { type LeaseRecord, no, type PeerReport, type Settings, type Verdict, yes } from '../types.ts';
import { isLeaving } from './members.ts';
import { TIE_MS, UNKNOWN_MS } from './times.ts';

export const ELECTION_RULES = {
  /**
   * Only a recorded volume of the right database may lead, and never a fenced instance, one that is stopping, or one
   * whose priority says so.
   */
  mayStand(record: LeaseRecord, s: State, settings: Settings): Verdict {
    const systemID = record.systemID ?? settings.systemID;
    if (s.terminating) return no('this instance is being stopped');
    if (settings.fenced.includes(s.self.name)) return no('this instance is fenced');
    const forced = isForced(record, s, settings);
    // A leader names such a one only where it was told to by force.
    const named = record.holder === null && record.handover?.to === s.self.name;
    if (priorityOf(settings, s.self.name) === 0 && !forced && !named)
      return no('this instance is never to lead');
    // Under a required rule it may be the only one that has everything; it hands over as soon as another has.
    if (isLeaving(s, s.self.name) && !record.rules.some((rule) => rule.required))
      return no('this instance is to be removed');
    if (s.view?.data !== 'present') return no('there are no complete data here');
    if (systemID !== undefined && s.view.systemID !== systemID)
      return no(`the data here belong to system ${s.view.systemID}, the cluster's is ${systemID}`);
    if (systemID === undefined && record.designated !== s.self.name)
      return no('no system identifier is recorded and this is not the designated instance');
    if (record.members.length > 0 && !isRecorded(record, s.self.name, s.view.incarnation))
      return no('this volume is not recorded as a member');
    if (isPromotedByHand(s) && !forced) return no('PostgreSQL here was promoted by hand');
    const full = fullVolume(s.view);
    if (full && !forced) return no(`the volume ${full.name} is full`);
    return yes;
  },

  /** A reachable peer that believes to lead is believed: its own clock will tell it to stop. */
  nobodyLeads(s: State, sinceMono: number): Verdict {
    const leader = answersSince(s, sinceMono).find((report) => report.leader || report.role === 'primary');
    if (leader) return no(`${leader.name} says that it still leads`);
    const granter = answersSince(s, sinceMono).find((report) => report.grantsTo);
    return granter ? no(`${granter.name} lets the leader go on without the API`) : yes;
  },

  /** Under maintenance nobody takes what another held; a hand-over by name, a forced promotion and our own Lease stay. */
  mayTakeNow(record: LeaseRecord, s: State, settings: Settings, opening: string): Verdict {
    if (!settings.maintenance || opening === 'mine' || opening === 'handover') return yes;
    if (record.leader === undefined || record.leader.name === s.self.name) return yes;
    if (isForced(record, s, settings)) return yes;
    return no('the cluster is under maintenance');
  },

  /** A forced promotion: for exactly one instance, as long as nobody led since it was asked for. */
  isForced(record: LeaseRecord, s: State, settings: Settings): boolean {
    return isForced(record, s, settings);
  },

  /**
   * Who is reachable, fit to lead and ahead of us goes first; among equals the higher priority does, then the better
   * name, for a bounded time. Under a required rule whoever counts in it is believed, fit to lead or not: what it
   * has may have been acknowledged.
   */
  nobodyAhead(record: LeaseRecord, s: State, mine: Position, since: Now, now: Now): Verdict {
    const counted = new Set(record.rules.filter((rule) => rule.required).flatMap((rule) => rule.names));
    for (const report of rivals(record, s, mine, since)) {
      if (!couldLead(s, record, report)) {
        const verdict =
          counted.size === 0
            ? notUpYet(record, s, report, elapsed(since, now))
            : notNeeded(record, s, report, counted, mine);
        if (!verdict.ok) return verdict;
        continue;
      }
      const theirs = peerPosition(report);
      if (!theirs) {
        if (elapsed(since, now) < UNKNOWN_MS) return no(`${report.name} does not yet know how far it is`);
        continue;
      }
      const order = comparePositions(theirs, mine);
      if (order > 0) return no(`${report.name} is ahead`);
      if (order === 0 && goesFirst(s, report.name, s.self.name) && elapsed(since, now) < TIE_MS)
        return no(`${report.name} is as far and goes first`);
    }
    return yes;
  },

  /**
   * 5.3, 6. Under a required rule, ANY or FIRST k over n names, at least n-k+1 of the names must have said how far
   * they are (we count if we are one of them), for every rule that may have been in force: then whoever is not
   * behind any of them has every acknowledged commit. An empty record (the Lease was lost) asks for everybody, and
   * so does one of an epoch below one seen: commits may go by later rules than it names.
   */
  quorumAnswered(
    record: LeaseRecord,
    s: State,
    settings: Settings,
    mine: Position | undefined,
    sinceMono: number,
  ): Verdict {
    const known = new Set(
      answersSince(s, sinceMono)
        .filter((report) => peerPosition(report) && countsInRule(record, report))
        .map((report) => report.name),
    );
    if (mine) known.add(s.self.name);
    for (const rule of record.rules.filter((each) => each.required)) {
      const there = rule.names.filter((name) => known.has(name)).length;
      const needed = quorumOf(rule);
      if (there < needed) {
        const missing = rule.names.filter((name) => !known.has(name));
        return no(
          `${needed} of ${rule.names.join(', ')} must say how far they are before a commit can be known not to be lost; no word from ${missing.join(', ')}`,
        );
      }
    }
    const outdated = record.epoch < s.epochSeen;
    if (record.members.length > 0 && !outdated) return yes;
    // Who answers that it has no data has nothing that another lacks.
    for (const report of answersSince(s, sinceMono))
      if (report.dataEmpty && report.role === 'none') known.add(report.name);
    if (known.size < settings.instances)
      return no(
        `the record of members ${outdated && record.members.length > 0 ? 'is an old one' : 'was lost'}: all ${settings.instances} instances must answer, ${known.size} have`,
      );
    return yes;
  },

  /**
   * Without a required rule, a candidate known to be behind lets the last leader come back first, and is never
   * further behind than maximumLag.
   */
  withinLag(record: LeaseRecord, settings: Settings, mine: Position, since: Now, now: Now): Verdict {
    if (record.rules.some((rule) => rule.required)) return yes;
    const known = parseLsn(record.position);
    const lag = known === undefined || known <= mine.lsn ? 0n : known - mine.lsn;
    if (settings.maximumLagBytes !== undefined && lag > settings.maximumLagBytes)
      return no(`${lag} bytes behind the last leader, more than maximumLag allows`);
    const behind = (record.holder === null && lag > 0n) || mine.timeline < (record.timeline ?? 0);
    if (behind && elapsed(since, now) < settings.takeMs)
      return no(`behind the last leader ${record.leader?.name ?? ''}, which may come back`);
    return yes;
  },
};

/** Peers that answered. What the last leader has beyond what it handed over to us was acknowledged by nobody. */
function rivals(record: LeaseRecord, s: State, mine: Position, since: Now): PeerReport[] {
  const past = hasAllHandedOver(record, s, mine) ? record.leader?.name : undefined;
  return answersSince(s, since.mono).filter(({ name }) => name !== past);
}

/** An answer counts for a name in a rule only from the volume that the Lease records under it. */
function countsInRule(record: LeaseRecord, report: PeerReport): boolean {
  if (report.dataEmpty) return false;
  return record.members.length === 0 || isRecorded(record, report.name, report.incarnation);
}

function isForced(record: LeaseRecord, s: State, settings: Settings): boolean {
  const wish = settings.promote;
  return wish?.to === s.self.name && wish.epoch === record.epoch && wish.id !== s.promoteDone;
}

/** Where no quorum is asked, what somebody has more who comes up a moment after us would be lost. */
function notUpYet(record: LeaseRecord, s: State, report: PeerReport, waitedMs: number): Verdict {
  if (!couldLeadSoon(s, record, report) || waitedMs >= UNKNOWN_MS) return yes;
  return no(`${report.name} is not up yet`);
}

/** Whoever counts in a required rule is believed, fit to lead or not. */
function notNeeded(
  record: LeaseRecord,
  s: State,
  report: PeerReport,
  counted: ReadonlySet<string>,
  mine: Position,
): Verdict {
  const ours = report.systemID === (record.systemID ?? s.settings?.systemID);
  const counts = ours && counted.has(report.name) && countsInRule(record, report);
  const theirs = counts && peerPosition(report);
  if (!theirs || comparePositions(theirs, mine) <= 0) return yes;
  return no(`${report.name} has more, but cannot lead: it must come back, or be given up by hand`);
}
