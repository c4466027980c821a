export * from './cluster/cluster.ts';
export * from './cluster/effective.ts';
export * from './cluster/owned-parameters.ts';
export type { ClusterSpec } from './cluster/spec.ts';
export type {
  ClusterCondition,
  ClusterPhase,
  ClusterStatus,
  ConditionStatus,
  InstanceReportedState,
} from './cluster/status.ts';
export * from './crd.ts';
export * from './duration.ts';
export * from './errors.ts';
export * from './instance-report.ts';
export * from './labels.ts';
export * from './lease-record.ts';
export * from './names.ts';
export * from './quantity.ts';
export type { StructuralSchema } from './structural.ts';
export * from './validate.ts';
