import type { KubeObject } from '@pgherd/kube';

export interface OperatorManifestsOptions {
  /** The image that holds /pgherd: operator, instance manager and guard. */
  image: string;
  replicas: number;
  /** Where the operator itself lives. */
  namespace: string;
}

/** Everything that installs the operator, in the order in which it must be applied. */
export function operatorManifests(_options: OperatorManifestsOptions): KubeObject[] {
  return [];
}
