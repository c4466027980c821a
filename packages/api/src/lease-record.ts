/**
 * What a cluster's Lease says, apart from how Kubernetes spells it.
 *
 * One Lease a cluster is the only truth about leadership. The operator creates it (with the designated first
 * instance); from then on instances change it, only by compare-and-swap on its resourceVersion. Holder, epoch
 * and times live in the Lease's own fields; everything else travels in one JSON annotation, under the same swap.
 */

import { ANNOTATION_RECORD } from './labels.ts';

/** An instance that may stand for election and may count in the commit rule. */
export interface LeaseMember {
  name: string;
  /** The volume's random id: a re-copied volume is another member, although it bears the same name. */
  incarnation: string;
}

/** A commit rule: `number` of `names` must have a commit before a client is told that it is done. */
export interface CommitRule {
  method: 'any' | 'first';
  number: number;
  names: string[];
  /** True when commits wait rather than degrade; only then does the rule say who has every acknowledged commit. */
  required: boolean;
}

/** Where the leader's PostgreSQL runs: what evidence about its death must match. */
export interface LeaseLeader {
  name: string;
  podUID: string;
  /** The pod's IP address. */
  address: string;
  containerID?: string;
}

/** Who is to take a released Lease, before anyone else may. */
export interface Handover {
  to: string;
  /** The LSN of the old primary's last record: the successor has everything once it has this. */
  position: string;
  /** When the Lease was released (MicroTime, by the old primary's clock: for people; takers count from their own first sight). */
  at: string;
}

/** What the leader of an epoch says of its history once it runs as primary. */
export interface SettledHistory {
  /** The epoch whose leader says so: an older word proves nothing about the present leader. */
  epoch: number;
  /** The timeline that the leader's branched off from, and the LSN where it did; absent on the first timeline. */
  parent?: number;
  start?: string;
}

export interface LeaseRecord {
  /** `podUID/managerStart`, or null when released or never held. */
  holder: string | null;
  /** Rises with every change of holder; never falls. */
  epoch: number;
  acquireTime?: string;
  renewTime?: string;
  /** The instance that may run initdb, as long as no system identifier is recorded. */
  designated?: string;
  /**
   * The epoch in which the operator began the cluster anew, for a restore in place: as long as nobody has led since,
   * the designated instance may fill its volume although there was a database before.
   */
  begunAnew?: number;
  /** The database's identity, claimed once by compare-and-swap before its first opening. */
  systemID?: string;
  /** The holder; after a release, the last holder. */
  leader?: LeaseLeader;
  timeline?: number;
  /** The highest timeline number that is used or reserved: each take that leads to a promotion reserves the next. */
  reserved?: number;
  /** A standby may count in the commit rule only once its history is proven to be this one. */
  settled?: SettledHistory;
  /** The leader's last known LSN: candidates measure their lag against it. */
  position?: string;
  members: LeaseMember[];
  /** Every rule that may have been in force since it was last proven otherwise: a union while a change is under way. */
  rules: CommitRule[];
  handover?: Handover;
}

/** The part of a `coordination.k8s.io/v1` Lease that this page reads and writes. */
export interface LeaseObject {
  apiVersion?: string;
  kind?: string;
  metadata?: {
    name?: string;
    namespace?: string;
    uid?: string;
    resourceVersion?: string;
    annotations?: Record<string, string>;
  };
  spec?: {
    holderIdentity?: string | null;
    leaseDurationSeconds?: number;
    acquireTime?: string | null;
    renewTime?: string | null;
    leaseTransitions?: number;
  };
}

/** What the annotation holds: the record without the fields that the Lease itself has. */
type Annotated = Omit<LeaseRecord, 'holder' | 'epoch' | 'acquireTime' | 'renewTime'>;

/**
 * Reads a Lease. An unreadable annotation throws: to lead on a guess about members or rules loses data.
 *
 * @throws {SyntaxError} when the annotation is not the JSON this version writes
 */
export function readLease(lease: LeaseObject): LeaseRecord {
  const text = lease.metadata?.annotations?.[ANNOTATION_RECORD];
  const annotated = (text === undefined || text === '' ? {} : JSON.parse(text)) as Partial<Annotated>;
  if (annotated === null || typeof annotated !== 'object' || Array.isArray(annotated))
    throw new SyntaxError(`annotation ${ANNOTATION_RECORD} of the Lease is not a JSON object`);
  const record: LeaseRecord = {
    ...annotated,
    holder: lease.spec?.holderIdentity || null,
    epoch: lease.spec?.leaseTransitions ?? 0,
    members: annotated.members ?? [],
    rules: annotated.rules ?? [],
  };
  if (lease.spec?.acquireTime) record.acquireTime = lease.spec.acquireTime;
  if (lease.spec?.renewTime) record.renewTime = lease.spec.renewTime;
  return record;
}

/**
 * The Lease object that says `record`, made from one that was read, whose resourceVersion it keeps so that the
 * write is a compare-and-swap.
 *
 * @param durationSeconds what `leaseDurationSeconds` tells people and tools; our own times are in the Cluster
 */
export function writeLease<T extends LeaseObject>(
  lease: T,
  record: LeaseRecord,
  durationSeconds?: number,
): T {
  const { holder, epoch, acquireTime, renewTime, ...annotated } = record;
  const spec: NonNullable<LeaseObject['spec']> = {
    ...lease.spec,
    holderIdentity: holder ?? '',
    leaseTransitions: epoch,
  };
  if (acquireTime) spec.acquireTime = acquireTime;
  if (renewTime) spec.renewTime = renewTime;
  const duration = durationSeconds ?? lease.spec?.leaseDurationSeconds;
  if (duration !== undefined) spec.leaseDurationSeconds = duration;
  return {
    ...lease,
    metadata: {
      ...lease.metadata,
      annotations: { ...lease.metadata?.annotations, [ANNOTATION_RECORD]: JSON.stringify(annotated) },
    },
    spec,
  };
}

/**
 * A time as the API server wants it in a Lease: exactly six fractional digits.
 *
 * @param epochMs milliseconds since 1970; a fraction counts
 */
export function microTime(epochMs: number): string {
  const whole = Math.floor(epochMs);
  const micros = Math.floor((epochMs - whole) * 1000);
  return `${new Date(whole).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}
