import {
  BACKUP_KIND,
  BACKUP_PLURAL,
  type Backup,
  CLUSTER_KIND,
  CLUSTER_PLURAL,
  type Cluster,
  GROUP,
  OPERATION_KIND,
  OPERATION_PLURAL,
  type Operation,
  SCHEDULED_BACKUP_KIND,
  SCHEDULED_BACKUP_PLURAL,
  type ScheduledBackup,
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

/** A backup as the API returns it. */
export type BackupObject = Backup & KubeObject;
/** A schedule of backups as the API returns it. */
export type ScheduledBackupObject = ScheduledBackup & KubeObject;

export const BackupKind = defineKind<BackupObject>(GROUP, VERSION, BACKUP_KIND, BACKUP_PLURAL);
export const ScheduledBackupKind = defineKind<ScheduledBackupObject>(
  GROUP,
  VERSION,
  SCHEDULED_BACKUP_KIND,
  SCHEDULED_BACKUP_PLURAL,
);
