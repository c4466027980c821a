export type { ClusterController, ControllerOptions } from './cluster/controller.ts';
export { createClusterController } from './cluster/controller.ts';
export type { OperatorErrorCode } from './errors.ts';
export { OperatorError } from './errors.ts';
export type { OperatorManifestsOptions } from './manifests.ts';
export { operatorManifests, operatorRules } from './manifests.ts';
