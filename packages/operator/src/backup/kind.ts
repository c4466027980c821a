import {
  BACKUP_KIND,
  BACKUP_PLURAL,
  type Backup,
  GROUP,
  SCHEDULED_BACKUP_KIND,
  SCHEDULED_BACKUP_PLURAL,
  type ScheduledBackup,
  VERSION,
} from '@pgherd/api';
import { defineKind, type KubeObject, type ObjectMeta } from '@pgherd/kube';

type Stored = KubeObject & { metadata: ObjectMeta & { namespace: string; uid: string } };

/** A backup as the API returns it. */
export type BackupObject = Backup & Stored;
/** A schedule as the API returns it. */
export type ScheduledBackupObject = ScheduledBackup & Stored;

export const BackupKind = defineKind<BackupObject>(GROUP, VERSION, BACKUP_KIND, BACKUP_PLURAL);
export const ScheduledBackupKind = defineKind<ScheduledBackupObject>(
  GROUP,
  VERSION,
  SCHEDULED_BACKUP_KIND,
  SCHEDULED_BACKUP_PLURAL,
);
