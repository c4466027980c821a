/** What of a spec cannot be done, beyond what the API refused already. Pure. */
import { type EffectiveSpec, validateCluster } from '@pgherd/api';
import type { SpecProblem } from './facts.ts';
import type { ClusterObject } from './kind.ts';

/**
 * Problems of the spec. The API checks nearly all of this when it is applied; not what came through the scale
 * subresource, nor what an older CRD let pass.
 */
export function specProblems(cluster: ClusterObject, spec: EffectiveSpec): SpecProblem[] {
  const problems = validateCluster(cluster)
    .filter(({ field }) => field.startsWith('spec') || field === 'metadata.name')
    .map(({ field, message, hint }) => ({ field, message, hint: hint ?? '' }));
  const { synchronous } = spec.postgresql;
  if (
    synchronous &&
    synchronous.number >= spec.instances &&
    !problems.some(({ field }) => field === 'spec.instances')
  )
    problems.push({
      field: 'spec.instances',
      message: `${spec.instances} is too few: synchronous replication needs ${synchronous.number} besides the primary`,
      hint: `set it to at least ${synchronous.number + 1}, or lower spec.postgresql.synchronous.number first`,
    });
  return problems;
}
