/** Members, commit rules and histories (ELECTION 3, 5.5, 5.6, 5.8). */
import { fulfilledAt, sameRule } from '../commit-rule.ts';
import { parseLsn } from '../lsn.ts';
import { isPromotedByHand, ownPosition, wasPrimary } from '../positions.ts';
import type { State } from '../state.ts';
import type { CommitRule, LeaseRecord, PeerReport, Settings } from '../types.ts';

export const MEMBER_RULES = {
  /** 3. PostgreSQL may go on as a primary, on its old timeline, only on data that were a primary's and that nobody led after. */
  mayContinueAsPrimary(s: State): boolean {
    return s.held?.continuing === true && wasPrimary(s.view?.controlState ?? '');
  },

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
    // The number of its timeline may be that of the leader's, if nobody knew of it when that was reserved.
    if (isPromotedByHand(s)) return false;
    // Before its promotion the leader is still on the timeline that its own will branch off from.
    if (view.timeline === record.timeline && view.timeline !== settled.parent)
      return view.inRecovery === true && view.streaming;
    const start = parseLsn(settled.start);
    if (view.timeline !== settled.parent || start === undefined) return false;
    // The last record of a primary that was shut down in order begins here, and nothing follows it.
    if (view.process === 'stopped')
      return view.controlState === 'shut down' && (parseLsn(view.checkpointLsn) ?? start) < start;
    const mine = ownPosition(view);
    return view.inRecovery === true && mine !== undefined && mine.lsn <= start;
  },

  /**
   * 8. By all that can be seen not a part of the leader's history: on the timeline that the leader's began from, but
   * beyond the point where it began, on a later one that is not the leader's, or promoted by hand. Only a rewind or a
   * copy helps.
   */
  hasParted(record: LeaseRecord, s: State): boolean {
    const { settled } = record;
    const mine = ownPosition(s.view);
    const start = parseLsn(settled?.start);
    if (record.holder && isPromotedByHand(s)) return true;
    // The timeline that is seen lags behind while nothing is received: what was proven once stays so.
    if (!record.holder || s.proven === record.epoch || settled?.epoch !== record.epoch) return false;
    if (!mine || start === undefined) return false;
    const between = mine.timeline > (settled.parent ?? 0) && mine.timeline < (record.timeline ?? 0);
    return between || (mine.timeline === settled.parent && mine.lsn > start);
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
};

/** The name under which a standby connects while the Lease does not record its volume (ELECTION 5.6). */
export function joiningName(name: string): string {
  return `${name}.joining`;
}

export function isLeaving(s: State, name: string): boolean {
  return s.pods.some((pod) => pod.instance === name && pod.leaving);
}
