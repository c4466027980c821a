import { CLUSTER_KIND, CLUSTER_PLURAL, type Cluster, GROUP, VERSION } from '@pgherd/api';
import { defineKind, type KubeObject, type ObjectMeta } from '@pgherd/kube';

/** A cluster as the API returns it. */
export type ClusterObject = Cluster &
  KubeObject & { metadata: ObjectMeta & { namespace: string; uid: string } };

export const ClusterKind = defineKind<ClusterObject>(GROUP, VERSION, CLUSTER_KIND, CLUSTER_PLURAL);
