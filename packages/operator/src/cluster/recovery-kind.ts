import { BACKUP_KIND, BACKUP_PLURAL, type Backup, GROUP, VERSION } from '@pgherd/api';
import { defineKind, type KubeObject } from '@pgherd/kube';

/** A Backup that a recovery names. */
export const BackupKind = defineKind<Backup & KubeObject>(GROUP, VERSION, BACKUP_KIND, BACKUP_PLURAL);
