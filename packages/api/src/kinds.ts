/** Every kind of ours: its names, its schema, and what `kubectl get` shows of it. */
import { ClusterSchema } from './cluster/cluster.ts';
import { CLUSTER_KIND, CLUSTER_PLURAL, OPERATION_KIND, OPERATION_PLURAL } from './names.ts';
import { OperationSchema } from './operation/operation.ts';

export interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date';
  description: string;
  jsonPath: string;
  /** Above 0: only with `-o wide`. */
  priority?: number;
}

export interface KindDefinition {
  kind: string;
  plural: string;
  singular: string;
  shortNames: string[];
  /** The typebox schema of the whole object. */
  schema: object;
  columns: PrinterColumn[];
  /** Subresources beside `status`. */
  subresources?: Record<string, object>;
}

const AGE: PrinterColumn = {
  name: 'Age',
  type: 'date',
  description: 'Time since it was made',
  jsonPath: '.metadata.creationTimestamp',
};

const column = (name: string, jsonPath: string, description: string): PrinterColumn => ({
  name,
  type: 'string',
  description,
  jsonPath,
});

export const CLUSTER_DEFINITION: KindDefinition = {
  kind: CLUSTER_KIND,
  plural: CLUSTER_PLURAL,
  singular: 'cluster',
  shortNames: ['pgc'],
  schema: ClusterSchema,
  columns: [
    { ...column('Instances', '.status.instances', 'Instances that exist'), type: 'integer' },
    { ...column('Ready', '.status.readyInstances', 'Instances that are ready'), type: 'integer' },
    column('Status', '.status.phase', 'What the cluster is doing'),
    column('Primary', '.status.currentPrimary', 'Instance that is primary'),
    AGE,
    { ...column('Reason', '.status.phaseReason', 'Why it is in this status'), priority: 1 },
    { ...column('Image', '.status.image', 'Image the instances run'), priority: 1 },
  ],
  subresources: {
    scale: {
      specReplicasPath: '.spec.instances',
      statusReplicasPath: '.status.instances',
      labelSelectorPath: '.status.selector',
    },
  },
};

export const OPERATION_DEFINITION: KindDefinition = {
  kind: OPERATION_KIND,
  plural: OPERATION_PLURAL,
  singular: 'operation',
  shortNames: ['pgo'],
  schema: OperationSchema,
  columns: [
    column('Type', '.spec.type', 'What is done'),
    column('Cluster', '.spec.cluster', 'To which cluster'),
    column('Phase', '.status.phase', 'How far it is'),
    AGE,
    column('Message', '.status.message', 'Why it is in this phase'),
  ],
};

export const KINDS: readonly KindDefinition[] = [CLUSTER_DEFINITION, OPERATION_DEFINITION];
