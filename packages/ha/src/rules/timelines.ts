/** Timeline numbers: no two histories bear the same. */
import type { State } from '../state.ts';
import type { LeaseRecord } from '../types.ts';

export const TIMELINE_RULES = {
  /**
   * Who is to be promoted first reserves the number of the new timeline on the Lease: above every number that the
   * record, its own data or any answer names. Else a leader that is promoted and dies before anybody has followed it,
   * and the next one, would give the same number to different histories, and PostgreSQL would stream one onto the other.
   */
  timelineToReserve(record: LeaseRecord, s: State): number {
    const seen = [
      record.reserved,
      record.timeline,
      s.view?.timeline,
      s.timelineSeen?.timeline,
      ...Object.values(s.peers).map((peer) => peer.report?.timeline),
    ];
    return Math.max(0, ...seen.map((timeline) => timeline ?? 0)) + 1;
  },
};
