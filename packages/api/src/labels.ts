/** Labels and annotations on the objects of a cluster. */

export const LABEL_CLUSTER = 'pgherd.io/cluster';
/** The instance's name, for example `demo-1`. */
export const LABEL_INSTANCE = 'pgherd.io/instance';
/** `primary` or `replica`; for display and for -ro: the truth about leadership is the Lease. */
export const LABEL_ROLE = 'pgherd.io/role';

/** On the volume claim of a repository: the repository's name. */
export const LABEL_REPOSITORY = 'pgherd.io/repository';
/** On the repository pod: the name of the cluster. It is no instance, so it does not bear the cluster's label. */
export const LABEL_REPOSITORY_POD = 'pgherd.io/repository-of';

/** On a Backup: the ScheduledBackup that made it. */
export const LABEL_SCHEDULE = 'pgherd.io/schedule';

/** On the Lease: what the leader recorded, as JSON. */
export const ANNOTATION_RECORD = 'pgherd.io/record';
/** On the -rw Service: the epoch of the leader that last pointed it at itself. */
export const ANNOTATION_EPOCH = 'pgherd.io/epoch';
/** On pods and volume claims: the number of the instance. */
export const ANNOTATION_SERIAL = 'pgherd.io/serial';
/**
 * On a pod whose instance is to be removed: it does not stand for election, and the leader takes it out of the
 * Lease's members and rules. The operator deletes it once the record no longer counts it.
 */
export const ANNOTATION_LEAVING = 'pgherd.io/leaving';

/** On the Cluster: a wish to move leadership, `{"id", "from", "to"?}`; heeded only while `from` leads. */
export const ANNOTATION_SWITCHOVER = 'pgherd.io/switchover';
/**
 * On the Cluster: leave for one instance to lead although the others cannot be asked, `{"id", "to", "epoch"}`;
 * heeded only while the epoch is still that one. Acknowledged commits may be lost.
 */
export const ANNOTATION_PROMOTE = 'pgherd.io/promote';
/** On the Cluster: the id of the last reload that was asked for; instances say in their report that they did it. */
export const ANNOTATION_RELOAD = 'pgherd.io/reload';
/** On the Cluster: instances that may neither lead nor run, as a JSON list of names; `["*"]` is all of them. */
export const ANNOTATION_FENCED = 'pgherd.io/fenced';
/** On the Cluster: `on` stops every instance in order and keeps the volumes. */
export const ANNOTATION_HIBERNATION = 'pgherd.io/hibernation';
/** On the Cluster: `on` makes the operator and the election leave it alone. */
export const ANNOTATION_MAINTENANCE = 'pgherd.io/maintenance';

/**
 * On the Cluster: a restore in place that is asked for by an Operation, as JSON: see RestoreMark. It stays as long as
 * the operation is under way.
 */
export const ANNOTATION_RESTORE = 'pgherd.io/restore';
/** On a Cluster that is a clone: the UID of the Operation that made it. */
export const ANNOTATION_CLONE_OF = 'pgherd.io/clone-operation';
/** On a volume claim that an earlier state of a cluster was left on: the name of that cluster. */
export const LABEL_KEPT_FROM = 'pgherd.io/kept-from';
/** On the pod and the volume claims of an instance: it goes whatever number of instances is wanted. */
export const ANNOTATION_DESTROY = 'pgherd.io/destroy';
/** On a volume claim of an instance that leaves: the volume is let go instead of deleted. */
export const ANNOTATION_KEEP = 'pgherd.io/keep';

export type Role = 'primary' | 'replica';

/** The labels every object of a cluster carries. */
export function clusterLabels(cluster: string): Record<string, string> {
  return { [LABEL_CLUSTER]: cluster };
}

/** The labels of one instance's pod and volumes. */
export function instanceLabels(cluster: string, instance: string): Record<string, string> {
  return { [LABEL_CLUSTER]: cluster, [LABEL_INSTANCE]: instance };
}

/** On a Cluster with backups: it is not gone before its last WAL is in the archive, or cannot get there. */
export const FINALIZER_LAST_WAL = 'pgherd.io/last-wal';
/** On a Cluster, with any value: it may go without that. */
export const ANNOTATION_WITHOUT_LAST_WAL = 'pgherd.io/without-last-wal';
