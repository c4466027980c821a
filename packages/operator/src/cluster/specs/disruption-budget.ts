import { clusterLabels, names } from '@pgherd/api';
import type { PodDisruptionBudget } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

/**
 * Lets one instance at a time be evicted. None for a single instance, which it would only pin to its node, nor
 * where the user does not want one. Said as `minAvailable`, which needs no look at who owns the pods.
 */
export function disruptionBudget(context: SpecContext, instances: number): PodDisruptionBudget | undefined {
  if (!context.spec.enablePDB || instances < 2) return undefined;
  const { name } = context.cluster.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: childMetadata(context, names(name).pdb),
    spec: {
      minAvailable: instances - 1,
      selector: { matchLabels: clusterLabels(name) },
      // An instance that is not well protects nothing, and must not hold up a drain.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  };
}
