/** What the operator knows of a cluster at one moment: the input of every decision. */
import type { EffectiveSpec, InstanceReport, LeaseRecord, RecoverySource } from '@pgherd/api';
import { ANNOTATION_DESTROY, ANNOTATION_LEAVING, isHibernating } from '@pgherd/api';
import type {
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  Role,
  RoleBinding,
  Secret,
  Service,
  ServiceAccount,
} from '@pgherd/kube';
import type { BackupFacts } from './backup-facts.ts';
import type { ClusterObject } from './kind.ts';
import type { Verified } from './memory.ts';

/** A field of the spec that cannot be done, in words for its user. */
export interface SpecProblem {
  field: string;
  message: string;
  hint: string;
}

export interface InstanceFacts {
  name: string;
  serial: number;
  pod?: Pod;
  data?: PersistentVolumeClaim;
  wal?: PersistentVolumeClaim;
  /** Its last answer, if that is recent. */
  report?: InstanceReport;
  /** Why there is no answer, if it was asked. */
  silent?: string;
}

export interface Facts {
  /** Milliseconds since 1970. */
  now: number;
  cluster: ClusterObject;
  spec: EffectiveSpec;
  /** Image that holds /pgherd. */
  operatorImage: string;
  /** The domain of the cluster's services, where it is not cluster.local. */
  clusterDomain?: string;
  /** Why the spec as it stands is refused; empty when it is fine. */
  problems: SpecProblem[];
  /** Names of first backups that this operator has made. */
  asked?: ReadonlySet<string>;
  /** How the last proof of a backup ended, as far as this operator has seen it. */
  verified?: Verified;
  /** By serial. */
  instances: InstanceFacts[];
  /** Instances from before a restore in place, whose volumes only wait. */
  old?: InstanceFacts[];
  /** What `spec.bootstrap` says is to be restored or copied, or why that is not known. */
  recovery?: RecoverySource | { problem: string };
  /** Leadership moves: nothing is done until that is over, or takes long. */
  leftAlone?: boolean;
  /** Undefined when there is no Lease of this cluster. */
  lease?: LeaseRecord;
  /** Its resourceVersion. */
  leaseVersion?: string;
  /** For how long we have seen it at that version, in milliseconds by our own clock: no clock is compared. */
  leaseUnchangedMs?: number;
  /** Why the Lease that is there cannot be read. */
  leaseProblem?: string;
  rw?: Service;
  ro?: Service;
  r?: Service;
  serviceAccount?: ServiceAccount;
  role?: Role;
  roleBinding?: RoleBinding;
  budget?: PodDisruptionBudget;
  backup?: BackupFacts;
  /** Names of nodes that take no new pods; undefined where the operator may not look at nodes. */
  cordoned?: ReadonlySet<string>;
  /** Names of nodes that do not answer; undefined as well. */
  unready?: ReadonlySet<string>;
  /** Names of all nodes; undefined as well. */
  nodes?: ReadonlySet<string>;
  /** Secrets by name: our own, and those of the user that the spec names. */
  secrets: Map<string, Secret>;
  /** The highest number that was ever given to an instance, as far as anyone remembers. */
  highestSerial: number;
}

export function isTerminating(object: { metadata: { deletionTimestamp?: string } } | undefined): boolean {
  return object?.metadata.deletionTimestamp !== undefined;
}

/** Since when an instance has been on its way out (RFC 3339), if it is. */
export function leavingSince({ pod, data }: InstanceFacts): string | undefined {
  return [pod, data].map((object) => object?.metadata.annotations?.[ANNOTATION_LEAVING]).find(Boolean);
}

/** Somebody asked for its removal by name: it goes whatever number of instances is wanted. */
export function isDestroyed({ pod, data, wal }: InstanceFacts): boolean {
  return [pod, data, wal].some((each) => each?.metadata.annotations?.[ANNOTATION_DESTROY] !== undefined);
}

/** The cluster is to sleep. One without a database yet gets that first: there is nothing to be woken. */
export function isToSleep(facts: Pick<Facts, 'cluster' | 'lease'>): boolean {
  return isHibernating(facts.cluster) && systemID(facts) !== undefined;
}

/** Reason of the condition Hibernated from the first stop on: until the primary serves again, others must not be faster. */
export const STOPPING = 'Stopping';

/** It slept, is to be awake, and its last primary does not serve yet. */
export function isWaking(facts: Facts): boolean {
  if (isHibernating(facts.cluster)) return false;
  const slept = facts.cluster.status?.conditions?.find(({ type }) => type === 'Hibernated');
  if (slept?.status !== 'True' && slept?.reason !== STOPPING) return false;
  return !facts.instances.some((each) => isLeader(facts, each) && each.report?.role === 'primary');
}

/** Who leads, or did so last. */
export function lastLeader({ lease, cluster }: Pick<Facts, 'lease' | 'cluster'>): string | undefined {
  return lease?.leader?.name ?? cluster.status?.currentPrimary;
}

export function isPodReady(pod: Pod | undefined): boolean {
  return (
    pod !== undefined &&
    !isTerminating(pod) &&
    pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  );
}

/** A pod whose containers will not run again: evicted, or its node shut down. */
export function isPodOver(pod: Pod | undefined): boolean {
  return pod?.status?.phase === 'Failed' || pod?.status?.phase === 'Succeeded';
}

/** The instance that holds the Lease, by name; undefined while nobody does. */
export function leaderName(facts: Pick<Facts, 'lease'>): string | undefined {
  return facts.lease?.holder ? facts.lease.leader?.name : undefined;
}

/** The database's identity, once it has one. */
export function systemID(facts: Pick<Facts, 'lease' | 'cluster'>): string | undefined {
  return facts.lease?.systemID ?? facts.cluster.status?.systemID;
}

/** This very pod holds the Lease, not an earlier one of the same name. */
export function isLeader(facts: Pick<Facts, 'lease'>, { name, pod }: InstanceFacts): boolean {
  return leaderName(facts) === name && pod !== undefined && facts.lease?.leader?.podUID === pod.metadata.uid;
}

/** Serves: the primary, or a replica that streams; its pod is ready. */
export function isHealthy(facts: Facts, instance: InstanceFacts): boolean {
  if (!isPodReady(instance.pod) || !instance.report) return false;
  if (isLeader(facts, instance)) return instance.report.role === 'primary';
  return instance.report.role === 'replica' && instance.report.streaming;
}

/**
 * True when the leader still counts the instance: as a member, or in a commit rule. While the Lease is gone, or was made
 * anew and nobody has taken it yet, that is not known, and nobody is removed.
 */
export function isCounted(facts: Pick<Facts, 'lease' | 'cluster'>, name: string): boolean {
  const { lease } = facts;
  if (!lease?.leader && systemID(facts) !== undefined) return true;
  if (!lease) return false;
  return (
    lease.members.some((member) => member.name === name) ||
    lease.rules.some((rule) => rule.names.includes(name))
  );
}

/** True until the cluster has been whole for the first time. */
export function isBootstrapping({ cluster }: Pick<Facts, 'cluster'>): boolean {
  const { phase } = cluster.status ?? {};
  return (
    phase === undefined || phase === 'Creating' || phase === 'Initializing' || phase === 'WaitingForReplicas'
  );
}

/** True while what exists is kept whole, but nothing is changed: the spec or the Lease cannot be followed. */
export function isHeld({ problems, leaseProblem }: Pick<Facts, 'problems' | 'leaseProblem'>): boolean {
  return problems.length > 0 || leaseProblem !== undefined;
}

/** An instance that is not there this long after its pod was made is late. */
const LATE_MS = 300_000;

/** When an instance that comes up should have done so (RFC 3339). */
export function startDeadline({ pod }: InstanceFacts): string | undefined {
  const made = Date.parse(pod?.metadata.creationTimestamp ?? '');
  return Number.isNaN(made) ? undefined : new Date(made + LATE_MS).toISOString();
}
