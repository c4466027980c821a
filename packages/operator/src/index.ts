export type { OperatorManifestsOptions } from './manifests.ts';
export { operatorManifests } from './manifests.ts';
