/** Every kind of ours: its names, its schema, and what `kubectl get` shows of it. */
import { BackupSchema } from './backup/backup.ts';
import { ClusterSchema } from './cluster/cluster.ts';
import {
  BACKUP_KIND,
  BACKUP_PLURAL,
  CLUSTER_KIND,
  CLUSTER_PLURAL,
  OPERATION_KIND,
  OPERATION_PLURAL,
  SCHEDULED_BACKUP_KIND,
  SCHEDULED_BACKUP_PLURAL,
} from './names.ts';
import { OperationSchema } from './operation/operation.ts';
import { ScheduledBackupSchema } from './scheduled-backup/scheduled-backup.ts';

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

export const BACKUP_DEFINITION: KindDefinition = {
  kind: BACKUP_KIND,
  plural: BACKUP_PLURAL,
  singular: 'backup',
  shortNames: ['pgb'],
  schema: BackupSchema,
  columns: [
    column('Cluster', '.spec.cluster.name', 'Which cluster'),
    column('Type', '.status.type', 'What it became'),
    column('Repository', '.status.repository', 'Where it is'),
    column('Phase', '.status.phase', 'How far it is'),
    column('Label', '.status.label', "pgBackRest's name of it"),
    AGE,
    column('Error', '.status.error', 'Why it failed'),
    { ...column('Instance', '.status.instance', 'Instance that was copied'), priority: 1 },
  ],
};

export const SCHEDULED_BACKUP_DEFINITION: KindDefinition = {
  kind: SCHEDULED_BACKUP_KIND,
  plural: SCHEDULED_BACKUP_PLURAL,
  singular: 'scheduledbackup',
  shortNames: ['pgsb'],
  schema: ScheduledBackupSchema,
  columns: [
    column('Cluster', '.spec.cluster.name', 'Which cluster'),
    column('Schedule', '.spec.schedule', 'When'),
    column('Type', '.spec.type', 'Which backups'),
    { ...column('Suspended', '.spec.suspend', 'Whether no backups are made for now'), priority: 1 },
    { ...column('Last', '.status.lastScheduleTime', 'When the last one was due'), type: 'date' },
    column('Next', '.status.nextScheduleTime', 'When the next one is due'),
    AGE,
  ],
};

export const KINDS: readonly KindDefinition[] = [
  CLUSTER_DEFINITION,
  OPERATION_DEFINITION,
  BACKUP_DEFINITION,
  SCHEDULED_BACKUP_DEFINITION,
];
