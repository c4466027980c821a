/**
 * The rules of leadership, all of them, each by its name.
 *
 * Every rule stands here because leaving it out loses data or splits the brain; the number says which section of
 * the protocol asks for it. The machine reaches a rule only through this object, so that a test can take one away
 * and show the harm.
 */
import { elapsed, elapsedForHolder, elapsedForTaker, type Now } from './clock.ts';
import { compareNames, fulfilledAt, quorumOf, sameRule } from './commit-rule.ts';
import { comparePositions, type Position, parseLsn } from './lsn.ts';
import { answersSince, couldLead, isRecorded, ownPosition, peerPosition } from './positions.ts';
import type { KnownLease, State } from './state.ts';
import {
  type CommitRule,
  type LeaseRecord,
  no,
  type PeerReport,
  type Settings,
  type Verdict,
  yes,
} from './types.ts';

/** After a hand-over by name, others wait this long before they may take what the named one left lying. */
export const HANDOVER_MS = 5_000;
/** How long a candidate gives way to an equal peer with the better name, which may be unable to write the Lease. */
export const TIE_MS = 1_000;
/** How long a candidate of an asynchronous cluster waits for a reachable peer to learn its own position. */
export const UNKNOWN_MS = 5_000;
/** Age up to which a leader's answer proves that it leads now. */
export const PROOF_MS = 3_000;

/** A candidate waits this long for the promises it asked for. */
export const PROMISE_MS = 1_000;

/** How long data are kept to let another instance be made anew first. */
export const FIRST_MS = 30_000;

/** Why the Lease is open to us. */
export type Opening = 'mine' | 'handover' | 'released' | 'dead' | 'silent';

/** What the control file says of data that were a primary's. */
const PRIMARY_STATES: readonly string[] = [
  'in production',
  'shut down',
  'shutting down',
  'in crash recovery',
];

export const RULES = {
  // --- 1: the Lease -------------------------------------------------------------------------------------------

  /** 1. Leadership lasts stopMs from just before the last renewal known to have succeeded was sent, by the faster clock. */
  leadershipHolds(t0: Now, settings: Settings, now: Now): boolean {
    return elapsedForHolder(t0, now) < settings.stopMs;
  },

  /**
   * 1. Silence is counted from our own first sight of a version of the Lease, and only while our own reads succeed:
   * a failed read, or a gap between two reads (we were frozen, or the API was away), starts the count again.
   */
  silenceBegins(sight: State['sight'], version: string, settings: Settings | undefined, now: Now): Now {
    if (sight?.version !== version) return now;
    const longestGap = 2 * (settings?.renewMs ?? 2_000) + 1_000;
    return elapsedForHolder(sight.last, now) > longestGap ? now : sight.since;
  },

  /** 1. Others may take takeMs after their own first sight of an unchanged renewal, by the slower clock. */
  isSilent(sight: State['sight'], version: string, settings: Settings, now: Now): boolean {
    return sight?.version === version && elapsedForTaker(sight.since, now) >= settings.takeMs;
  },

  /**
   * 1. An epoch below one seen is a Lease that was made anew or restored: what it says of its holder is worth
   * nothing, and only silence for the full duration, counted afresh, opens it.
   */
  isGenuine(record: LeaseRecord, epochSeen: number): boolean {
    return record.epoch >= epochSeen;
  },

  /** 1. Holder is a manager, not a pod: our predecessor's Lease is not ours until we have renewed it by compare-and-swap. */
  isHeldBy(record: LeaseRecord, identity: string): boolean {
    return record.holder === identity;
  },

  // --- 3: certain death ---------------------------------------------------------------------------------------

  /**
   * 3. The kubelet's `terminated` proves the holder dead only for the pod UID and container ID that the holder
   * itself recorded. That a pod is gone, or its node not ready, proves nothing.
   */
  isCertainlyDead(record: LeaseRecord, pods: State['pods']): boolean {
    const leader = record.leader;
    if (!record.holder || !leader?.containerID || !record.holder.startsWith(`${leader.podUID}/`))
      return false;
    return pods.some((pod) => pod.uid === leader.podUID && pod.terminated.includes(leader.containerID!));
  },

  /** 3. In our own pod only one manager lives at a time: another start of it is a predecessor, and its database died with our first act. */
  isOurPredecessor(record: LeaseRecord, s: State): boolean {
    return record.holder?.startsWith(`${s.self.podUID}/`) === true && !s.deathNeeded && !s.primaryMaybe;
  },

  /** 3. Leadership is handed over or released only once nothing of our data directory lives. */
  mayRelease(s: State): boolean {
    return !s.deathNeeded && !s.primaryMaybe && s.job === undefined;
  },

  // --- 1, 3: may we take the Lease? ---------------------------------------------------------------------------

  /** Why the Lease may be taken by us, if at all. Whether we are fit for it is asked afterwards. */
  opening(lease: KnownLease, s: State, settings: Settings, now: Now): Opening | undefined {
    const { record } = lease;
    const silent = this.isSilent(s.sight, lease.version, settings, now);
    if (!this.isGenuine(record, s.epochSeen)) return silent ? 'silent' : undefined;
    if (this.isOurPredecessor(record, s)) return 'mine';
    if (record.holder === null) {
      if (record.handover?.to === s.self.name) return 'handover';
      if (!this.mayPassOverTheNamed(lease, s, now)) return undefined;
      return 'released';
    }
    if (this.isCertainlyDead(record, s.pods)) return 'dead';
    return silent ? 'silent' : undefined;
  },

  /** A hand-over by name reserves the Lease for the named one, for a bounded time. */
  mayPassOverTheNamed(lease: KnownLease, s: State, now: Now): boolean {
    if (!lease.record.handover) return true;
    return s.sight?.version === lease.version && elapsedForTaker(s.sight.since, now) >= HANDOVER_MS;
  },

  /** Only a recorded volume of the right database may lead, and never a fenced instance or one that is stopping. */
  mayStand(record: LeaseRecord, s: State, settings: Settings): Verdict {
    const systemID = record.systemID ?? settings.systemID;
    if (s.terminating) return no('this instance is being stopped');
    if (isLeaving(s, s.self.name)) return no('this instance is to be removed');
    if (settings.fenced.includes(s.self.name)) return no('this instance is fenced');
    if (s.view?.data !== 'present') return no('there are no complete data here');
    if (systemID !== undefined && s.view.systemID !== systemID)
      return no(`the data here belong to system ${s.view.systemID}, the cluster's is ${systemID}`);
    if (systemID === undefined && record.designated !== s.self.name)
      return no('no system identifier is recorded and this is not the designated instance');
    if (record.members.length > 0 && !isRecorded(record, s.self.name, s.view.incarnation))
      return no('this volume is not recorded as a member');
    return yes;
  },

  /** Nobody led since we did: our data have everything that was ever acknowledged, and no peer need be asked. */
  ledLast(record: LeaseRecord, s: State): boolean {
    return (
      record.leader?.name === s.self.name &&
      isRecorded(record, s.self.name, s.view?.incarnation) &&
      this.isGenuine(record, s.epochSeen)
    );
  },

  /** A reachable peer that believes to lead is believed: its own clock will tell it to stop. */
  nobodyLeads(s: State, sinceMono: number): Verdict {
    const leader = answersSince(s, sinceMono).find((report) => report.leader || report.role === 'primary');
    return leader ? no(`${leader.name} says that it still leads`) : yes;
  },

  /** Who is reachable, fit to lead and ahead of us goes first; among equals the better name does, for a bounded time. */
  nobodyAhead(record: LeaseRecord, s: State, mine: Position, since: Now, now: Now): Verdict {
    for (const report of answersSince(s, since.mono)) {
      if (!couldLead(s, record, report)) continue;
      const theirs = peerPosition(report);
      if (!theirs) {
        if (elapsed(since, now) < UNKNOWN_MS) return no(`${report.name} does not yet know how far it is`);
        continue;
      }
      const order = comparePositions(theirs, mine);
      if (order > 0) return no(`${report.name} is ahead`);
      if (order === 0 && compareNames(report.name, s.self.name) < 0 && elapsed(since, now) < TIE_MS)
        return no(`${report.name} is as far and goes first`);
    }
    return yes;
  },

  /**
   * 5.3, 6. Under a required rule, ANY or FIRST k over n names, at least n-k+1 of the names must have said how far
   * they are (we count if we are one of them), for every rule that may have been in force: then whoever is not
   * behind any of them has every acknowledged commit. An empty record (the Lease was lost) asks for everybody.
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
    if (record.members.length === 0 && known.size < settings.instances)
      return no(
        `the record of members was lost: all ${settings.instances} instances must answer, ${known.size} have`,
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

  /** 3. PostgreSQL may go on as a primary, on its old timeline, only on data that were a primary's and that nobody led after. */
  mayContinueAsPrimary(s: State): boolean {
    return s.held?.continuing === true && PRIMARY_STATES.includes(s.view?.controlState ?? '');
  },

  // --- 5, 6: members and commit rules ---------------------------------------------------------------------------

  /** 5.5. A rule is applied only after the Lease records it beside those that were in force. */
  mayApply(rule: CommitRule, record: LeaseRecord): boolean {
    return record.rules.some((known) => sameRule(known, rule));
  },

  /**
   * 5.5. Older rules are dropped only once the new one is in force in every WAL sender, and once enough of its
   * names have everything that was acknowledged under the older ones.
   */
  mayDropOthers(rule: CommitRule, text: string, s: State): boolean {
    if (s.applied !== text) return false;
    if (!rule.required) return true;
    const mark = parseLsn(s.mark);
    return mark !== undefined && fulfilledAt(rule, s.view?.replication ?? [], mark);
  },

  /**
   * 5.6. A standby on a new volume becomes a member only once it has everything we had when nobody else bore its
   * name: whatever its lost predecessor acknowledged, it has too.
   */
  mayBecomeMember(s: State, name: string, report: PeerReport): boolean {
    const joining = s.joining[name];
    if (isLeaving(s, name)) return false;
    if (!joining || joining.incarnation !== report.incarnation) return false;
    const rows = s.view?.replication ?? [];
    if (rows.some((row) => row.name === name)) return false;
    // A standby whose history has parted reports positions of its own, not of ours.
    if (!report.streaming) return false;
    const row = rows.find((each) => each.name === joiningName(name) && each.state === 'streaming');
    return row !== undefined && (parseLsn(row.flushLsn) ?? -1n) >= parseLsn(joining.mark)!;
  },

  /**
   * 5.8. A standby bears its member name, and so counts in the commit rule, only once its history is proven to be
   * part of the leader's: it streams on the leader's timeline, or its WAL ends where that timeline began, or before.
   * One that has parted is streamed the old timeline up to the fork, yet confirms positions beyond it, and commits
   * that nobody has would be acknowledged.
   */
  historyIsTheLeaders(record: LeaseRecord, s: State): boolean {
    const { settled } = record;
    const view = s.view;
    if (!record.holder || settled?.epoch !== record.epoch || view?.data !== 'present') return false;
    if (view.timeline === record.timeline) return view.inRecovery === true && view.streaming;
    const start = parseLsn(settled.start);
    if (view.timeline !== settled.parent || start === undefined) return false;
    // The last record of a primary that was shut down in order begins here, and nothing follows it.
    if (view.process === 'stopped')
      return view.controlState === 'shut down' && (parseLsn(view.checkpointLsn) ?? start) < start;
    const mine = ownPosition(view);
    return view.inRecovery === true && mine !== undefined && mine.lsn <= start;
  },

  /**
   * 8. By all that can be seen not a part of the leader's history: on the timeline that the leader's began from, but beyond the
   * point where it began. Only a rewind or a copy helps.
   */
  hasParted(record: LeaseRecord, s: State): boolean {
    const { settled } = record;
    const mine = ownPosition(s.view);
    const start = parseLsn(settled?.start);
    // The timeline that is seen lags behind while nothing is received: what was proven once stays so.
    if (!record.holder || s.proven === record.epoch || settled?.epoch !== record.epoch) return false;
    if (!mine || start === undefined) return false;
    return mine.timeline === settled.parent && mine.lsn > start;
  },

  /**
   * A member is dropped when the operator has marked its pod as leaving; or when the operator no longer lists the
   * instance, its pod is gone and it does not stream.
   */
  mayDropMember(s: State, settings: Settings, name: string): boolean {
    if (name === s.self.name) return false;
    if (isLeaving(s, name)) return true;
    return (
      settings.instanceNames !== undefined &&
      !settings.instanceNames.includes(name) &&
      s.pods.some((pod) => pod.instance === s.self.name) &&
      !s.pods.some((pod) => pod.instance === name) &&
      !(s.view?.replication ?? []).some((row) => row.name === name)
    );
  },

  // --- 8: what destroys data --------------------------------------------------------------------------------------

  /** 8. initdb only where the operator said, and only while no system identifier was ever recorded anywhere. */
  mayInitialise(record: LeaseRecord, s: State, settings: Settings): Verdict {
    if (record.systemID !== undefined || settings.systemID !== undefined)
      return no('the cluster was initialised before: an empty volume means a copy');
    if (record.members.length > 0 || s.epochSeen > 0) return no('the cluster had a leader before');
    if (record.designated !== s.self.name)
      return no(`${record.designated ?? 'nobody'} is to initialise the cluster`);
    if (s.view?.data !== 'empty') return no('the volume is not empty');
    return yes;
  },

  /** 8. A copy only from the instance that holds the Lease by its own fresh word, of this database, and not behind. */
  isProvenLeader(record: LeaseRecord, s: State, settings: Settings, now: Now): Verdict {
    const leader = record.leader;
    if (!record.holder || !leader) return no('nobody leads');
    if (leader.name === s.self.name) return no('the Lease still names this instance');
    const peer = s.peers[leader.name];
    const report = peer?.report;
    if (!peer || !report || elapsedForHolder(peer.askedAt, now) > PROOF_MS)
      return no(`no word from ${leader.name}`);
    if (report.identity !== record.holder || !report.leader)
      return no(`${leader.name} does not say that it leads`);
    if (report.role !== 'primary') return no(`${leader.name} does not run as primary yet`);
    const systemID = record.systemID ?? settings.systemID;
    if (!systemID || report.systemID !== systemID) return no(`${leader.name} runs another database`);
    if ((report.timeline ?? 0) < (record.timeline ?? 0)) return no(`${leader.name} is on an older timeline`);
    return yes;
  },

  /**
   * 8. Data that are there are given up only for a proven leader's, and by one instance at a time: nobody goes ahead
   * while another is being made anew, nor, for a bounded time, before one of a better name that does not stream
   * either. Else one fault, or one mistake of ours, would leave the leader's copy as the last.
   */
  mayOverwrite(record: LeaseRecord, s: State, settings: Settings, now: Now): Verdict {
    const proven = this.isProvenLeader(record, s, settings, now);
    if (!proven.ok) return proven;
    const patient = s.rejoin?.since === undefined || elapsed(s.rejoin.since, now) < FIRST_MS;
    for (const { report, askedAt } of Object.values(s.peers)) {
      if (!report || report.leader || elapsed(askedAt, now) > PROOF_MS) continue;
      if (['copying', 'rewinding'].includes(report.state)) return no(`${report.name} is being made anew`);
      const goesFirst = compareNames(report.name, s.self.name) < 0 && !report.streaming;
      if (goesFirst && patient) return no(`${report.name} does not stream either, and goes first`);
    }
    return yes;
  },

  /** 8. Data of another database are never overwritten. */
  isForeign(record: LeaseRecord, s: State, settings: Settings): boolean {
    const systemID = record.systemID ?? settings.systemID;
    return s.view?.data === 'present' && systemID !== undefined && s.view.systemID !== systemID;
  },
};

export type Rules = typeof RULES;

/** The name under which a standby connects while the Lease does not record its volume (ELECTION 5.6). */
export function joiningName(name: string): string {
  return `${name}.joining`;
}

function isLeaving(s: State, name: string): boolean {
  return s.pods.some((pod) => pod.instance === name && pod.leaving);
}

/** An answer counts for a name in a rule only from the volume that the Lease records under it. */
function countsInRule(record: LeaseRecord, report: PeerReport): boolean {
  if (report.dataEmpty) return false;
  return record.members.length === 0 || isRecorded(record, report.name, report.incarnation);
}
