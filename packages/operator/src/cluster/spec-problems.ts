/** What of a spec cannot be done, beyond what the API refused already. Pure. */
import {
  type ApiError,
  type EffectiveSpec,
  instanceSerial,
  names,
  parseTargetTime,
  validateCluster,
} from '@pgherd/api';
import { certificateSecrets } from './certificates.ts';
import type { SpecProblem } from './facts.ts';
import type { ClusterObject } from './kind.ts';
import { podProblems } from './pod-problems.ts';

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
  return [
    ...problems,
    ...podProblems(cluster),
    ...foreignNames(cluster),
    ...noSuchTime(cluster),
    ...ownNames(cluster, spec),
  ];
}

/** A priority for an instance of another cluster would be ignored without a word. */
function foreignNames({ metadata: { name }, spec }: ClusterObject): SpecProblem[] {
  const foreign = Object.keys(spec.failoverPriority ?? {}).filter(
    (each) => instanceSerial(name, each) === undefined,
  );
  if (foreign.length === 0) return [];
  return [
    {
      field: 'spec.failoverPriority',
      message: `${foreign.join(', ')} cannot be an instance of this cluster`,
      hint: `name them as kubectl get pods shows them: ${name}-1, ${name}-2 and so on`,
    },
  ];
}

/** The API sees whether a time has the right form, not whether there is such a day, hour or zone. */
function noSuchTime({ spec }: ClusterObject): SpecProblem[] {
  const { targetTime } = spec.bootstrap?.recovery?.recoveryTarget ?? {};
  if (targetTime === undefined) return [];
  try {
    parseTargetTime(targetTime);
    return [];
  } catch (error) {
    const { message, hint = '' } = error as ApiError;
    return [{ field: 'spec.bootstrap.recovery.recoveryTarget.targetTime', message, hint }];
  }
}

/** Secrets that we make cannot be the user's own. */
function ownNames(cluster: ClusterObject, spec: EffectiveSpec): SpecProblem[] {
  const { ca, server, replication } = names(cluster.metadata.name);
  return certificateSecrets({ spec })
    .filter((name) => [ca, server, replication].includes(name))
    .map((name) => ({
      field: 'spec.certificates',
      message: `the secret ${name} is made by the operator`,
      hint: 'give a secret of your own another name',
    }));
}
