/** Labels and annotations on the objects of a cluster. */

export const LABEL_CLUSTER = 'pgherd.io/cluster';
/** The instance's name, for example `demo-1`. */
export const LABEL_INSTANCE = 'pgherd.io/instance';
/** `primary` or `replica`; for display and for -ro: the truth about leadership is the Lease. */
export const LABEL_ROLE = 'pgherd.io/role';

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

export type Role = 'primary' | 'replica';

/** The labels every object of a cluster carries. */
export function clusterLabels(cluster: string): Record<string, string> {
  return { [LABEL_CLUSTER]: cluster };
}

/** The labels of one instance's pod and volumes. */
export function instanceLabels(cluster: string, instance: string): Record<string, string> {
  return { [LABEL_CLUSTER]: cluster, [LABEL_INSTANCE]: instance };
}
