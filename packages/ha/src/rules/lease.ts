/** The Lease and certain death (ELECTION 1, 3): who holds it, and when it is open. */
import { elapsedForHolder, elapsedForTaker, type Now } from '../clock.ts';
import { isRecorded } from '../positions.ts';
import type { KnownLease, State } from '../state.ts';
import type { LeaseRecord, Settings } from '../types.ts';
import { HANDOVER_MS } from './times.ts';

/** Why the Lease is open to us. */
export type Opening = 'mine' | 'handover' | 'released' | 'dead' | 'silent';

export const LEASE_RULES = {
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

  /** 1. Others may take takeMs after their own first sight of an unchanged renewal. */
  isSilent(sight: State['sight'], version: string, settings: Settings, now: Now): boolean {
    return sight?.version === version && elapsedForTaker(sight.since, now) >= settings.takeMs;
  },

  /**
   * 1. An epoch below one seen is a Lease that was made anew or restored, and so is one that names no leader although
   * there was one: what it says of its holder is worth nothing, and only silence for the full duration, counted
   * afresh, opens it.
   */
  isGenuine(record: LeaseRecord, epochSeen: number): boolean {
    return record.epoch > epochSeen || (record.epoch === epochSeen && (epochSeen === 0 || !!record.leader));
  },

  /** 1. Holder is a manager, not a pod: our predecessor's Lease is not ours until we have renewed it by compare-and-swap. */
  isHeldBy(record: LeaseRecord, identity: string): boolean {
    return record.holder === identity;
  },

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

  /**
   * 1. What a watch saw may be old. It may be acted on only where an old word does no harm: a Lease that is handed to us
   * by name, under the epoch that we know, is taken by compare-and-swap from exactly what was seen.
   */
  mayTakeUnread(record: LeaseRecord, s: State): boolean {
    return (
      record.holder === null &&
      record.handover?.to === s.self.name &&
      record.epoch === s.epochSeen &&
      s.held === undefined &&
      s.write === undefined &&
      s.lease?.record.epoch === record.epoch
    );
  },

  /** 3. Leadership is handed over or released only once nothing of our data directory lives. */
  mayRelease(s: State): boolean {
    return !s.deathNeeded && !s.primaryMaybe && s.job === undefined;
  },

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

  /** Nobody led since we did: our data have everything that was ever acknowledged, and no peer need be asked. */
  ledLast(record: LeaseRecord, s: State): boolean {
    return (
      record.leader?.name === s.self.name &&
      isRecorded(record, s.self.name, s.view?.incarnation) &&
      this.isGenuine(record, s.epochSeen)
    );
  },
};
