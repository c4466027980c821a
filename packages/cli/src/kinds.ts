import {
  CLUSTER_KIND,
  CLUSTER_PLURAL,
  type Cluster,
  GROUP,
  OPERATION_KIND,
  OPERATION_PLURAL,
  type Operation,
  VERSION,
} from '@pgherd/api';
import type { KubeObject } from '@pgherd/kube';
import { defineKind } from '@pgherd/kube';

/** A cluster as the API returns it. */
export type ClusterObject = Cluster & KubeObject;
/** An operation as the API returns it. */
export type OperationObject = Operation & KubeObject;

export const ClusterKind = defineKind<ClusterObject>(GROUP, VERSION, CLUSTER_KIND, CLUSTER_PLURAL);
export const OperationKind = defineKind<OperationObject>(GROUP, VERSION, OPERATION_KIND, OPERATION_PLURAL);
