export * from './backrest.ts';
export {
  type Backup,
  type BackupPhase,
  type BackupSpec,
  type BackupStatus,
  type BackupType,
  isBackupOver,
} from './backup/backup.ts';
export * from './certificate-mark.ts';
export { MAX_REPOSITORIES } from './cluster/backup-fields.ts';
export * from './cluster/cluster.ts';
export * from './cluster/effective.ts';
export * from './cluster/effective-backup.ts';
export * from './cluster/owned-parameters.ts';
export type { ClusterSpec } from './cluster/spec.ts';
export type {
  ClusterCondition,
  ClusterPhase,
  ClusterRecovered,
  ClusterRestoration,
  ClusterStatus,
  ConditionStatus,
  InstanceReportedState,
  RestorationStage,
} from './cluster/status.ts';
export * from './crd.ts';
export * from './errors.ts';
export * from './instance-report.ts';
export * from './kinds.ts';
export * from './labels.ts';
export * from './lease-record.ts';
export * from './lsn.ts';
export * from './marks.ts';
export * from './names.ts';
export type { ObjectMetadata } from './object.ts';
export * from './operation/operation.ts';
export {
  OPERATION_MEMBERS,
  OPERATION_TYPES,
  type OperationSpec,
  type OperationType,
} from './operation/spec.ts';
export type { OperationPhase, OperationStatus, OperationStep, StepState } from './operation/status.ts';
export * from './quantity.ts';
export type { RecoveryTargetSpec } from './recovery/fields.ts';
export * from './recovery/source.ts';
export * from './recovery/target-time.ts';
export { isTimeZone } from './recovery/time-zone.ts';
export type {
  ScheduledBackup,
  ScheduledBackupSpec,
  ScheduledBackupStatus,
} from './scheduled-backup/scheduled-backup.ts';
export type { StructuralSchema } from './structural.ts';
export * from './validate.ts';
