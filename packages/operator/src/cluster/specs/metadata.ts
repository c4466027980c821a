import {
  ANNOTATION_SERIAL,
  API_VERSION,
  CLUSTER_KIND,
  clusterLabels,
  type EffectiveSpec,
  LABEL_ROLE,
} from '@pgherd/api';
import type { KubeObject, ObjectMeta, OwnerReference } from '@pgherd/kube';
import type { ClusterObject } from '../kind.ts';

/** What every builder needs: the cluster and what its spec means. */
export interface SpecContext {
  cluster: ClusterObject;
  spec: EffectiveSpec;
  /** Image that holds /pgherd. */
  operatorImage: string;
}

/** Makes an object the cluster's child: it goes when the cluster goes. */
export function ownerReference(cluster: ClusterObject): OwnerReference {
  return {
    apiVersion: API_VERSION,
    kind: CLUSTER_KIND,
    name: cluster.metadata.name,
    uid: cluster.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** True when the object is a child of this very cluster, not of an earlier one of the same name. */
export function isOwned(object: { metadata: ObjectMeta }, cluster: ClusterObject): boolean {
  return object.metadata.ownerReferences?.some(({ uid }) => uid === cluster.metadata.uid) === true;
}

/** True for a child of an earlier cluster of the same name, which is on its way out. */
export function isLeftover(object: { metadata: ObjectMeta }, cluster: ClusterObject): boolean {
  return (
    object.metadata.ownerReferences?.some(
      ({ kind, uid }) => kind === CLUSTER_KIND && uid !== cluster.metadata.uid,
    ) === true
  );
}

/** Metadata of a child. Inherited labels and annotations never win over our own. */
export function childMetadata(
  { cluster, spec }: Pick<SpecContext, 'cluster' | 'spec'>,
  name: string,
  more: { labels?: Record<string, string>; annotations?: Record<string, string> } = {},
): ObjectMeta {
  const annotations = { ...spec.inheritedMetadata.annotations, ...more.annotations };
  return {
    name,
    namespace: cluster.metadata.namespace,
    labels: {
      ...spec.inheritedMetadata.labels,
      'app.kubernetes.io/managed-by': 'pgherd',
      ...clusterLabels(cluster.metadata.name),
      ...more.labels,
    },
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    ownerReferences: [ownerReference(cluster)],
  };
}

/** The entries of `desired` that are not so in `current`. */
export function changed(
  desired: Record<string, string>,
  current: Record<string, string> = {},
): Record<string, string> | undefined {
  const entries = Object.entries(desired).filter(([key, value]) => current[key] !== value);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** The labels and the number by which an object of ours is found, as far as it has lost them; undefined: none. */
export function lostMarks(wanted: KubeObject, current: KubeObject): object | undefined {
  const serial = wanted.metadata.annotations?.[ANNOTATION_SERIAL];
  // The role is said by what is known later.
  const { [LABEL_ROLE]: _, ...own } = wanted.metadata.labels ?? {};
  const labels = changed(own, current.metadata.labels);
  const annotations = changed(serial ? { [ANNOTATION_SERIAL]: serial } : {}, current.metadata.annotations);
  if (!labels && !annotations) return undefined;
  return { metadata: { ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) } };
}
