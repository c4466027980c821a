import type { Cluster } from '@pgherd/api';
import { GROUP, VERSION } from '@pgherd/api';
import type { KubeObject } from '@pgherd/kube';
import { defineKind } from '@pgherd/kube';

/** A cluster as the API returns it. */
export type ClusterObject = Cluster & KubeObject;

export const ClusterKind = defineKind<ClusterObject>(GROUP, VERSION, 'Cluster', 'clusters');
