/** What makes or destroys data (ELECTION 8). */
import { elapsed, elapsedForHolder, type Now } from '../clock.ts';
import { compareNames } from '../commit-rule.ts';
import type { State } from '../state.ts';
import { type LeaseRecord, no, type Settings, type Verdict, yes } from '../types.ts';
import { FIRST_MS, PROOF_MS } from './times.ts';

export const DATA_RULES = {
  /** 8. initdb only where the operator said, and only while no system identifier was ever recorded anywhere. */
  mayInitialise(record: LeaseRecord, s: State, settings: Settings): Verdict {
    if (record.systemID !== undefined || settings.systemID !== undefined)
      return no('the cluster was initialised before: an empty volume means a copy');
    // A restore in place begins anew in an epoch of its own, in which nobody has led yet.
    const led = s.epochSeen > 0 && record.begunAnew !== s.epochSeen;
    if (record.members.length > 0 || led) return no('the cluster had a leader before');
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
      if (report.dataEmpty && report.role === 'none' && patient)
        return no(`${report.name} has no data, and is made anew first`);
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
