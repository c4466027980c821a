/** The API is away, the primary is well: it goes on while every member lets it (ELECTION 4). */
import { elapsedForTaker, type Now } from '../clock.ts';
import type { State } from '../state.ts';
import {
  type GrantAnswer,
  type LeaseMember,
  type LeaseRecord,
  no,
  type Settings,
  type Verdict,
  yes,
} from '../types.ts';

export const GRANT_RULES = {
  /**
   * 4. How long a grant binds who gave it, by its own clock: as long as a renewal would. A leader whose grants run
   * out begins to stop after stopMs, and is certainly dead only after guardMs.
   */
  grantMs(settings: Settings): number {
    return settings.takeMs;
  },

  /** 4. Only the leader of the highest epoch seen is let go on, and by nobody who has promised or is taking the Lease. */
  mayGrant(s: State, leader: string, epoch: number): Verdict {
    if (s.held) return no('this instance leads');
    if (s.write?.purpose === 'take') return no('this instance is taking the Lease');
    if (s.promise || s.promising) return no('this instance has promised to receive no more WAL');
    if (epoch < s.epochSeen) return no(`a later leader is known, of epoch ${s.epochSeen}`);
    const record = s.lease?.record;
    if (record && record.epoch === epoch && record.holder !== leader)
      return no('the Lease is held by another, or was released');
    return yes;
  },

  /**
   * 4. Leadership goes on only with grants from every member but the leader: from those that the Lease records, and
   * from those that a write of unknown fate may have recorded. Each of them could stand for election.
   */
  allGrant(
    members: readonly LeaseMember[],
    self: string,
    answers: Readonly<Record<string, GrantAnswer | null>>,
    identity: string,
    epoch: number,
  ): boolean {
    return members
      .filter((member) => member.name !== self)
      .every((member) => {
        const answer = answers[member.name];
        return (
          answer != null &&
          'granted' in answer &&
          answer.incarnation === member.incarnation &&
          answer.granted.to === identity &&
          answer.granted.epoch === epoch
        );
      });
  },

  /** 4. A grant binds for its time, unless its leader is known to have released the Lease, or to be dead. */
  isBound(record: LeaseRecord, s: State, settings: Settings, now: Now): boolean {
    const { grant } = s;
    if (!grant || elapsedForTaker(grant.at, now) >= this.grantMs(settings)) return false;
    if (record.epoch !== grant.epoch) return true;
    return record.holder !== null && !(record.holder === grant.to && isDead(record, s));
  },
};

/** See isCertainlyDead. */
function isDead(record: LeaseRecord, s: State): boolean {
  const { leader, holder } = record;
  if (!leader?.containerID || !holder?.startsWith(`${leader.podUID}/`)) return false;
  return s.pods.some((pod) => pod.uid === leader.podUID && pod.terminated.includes(leader.containerID!));
}
