/** When a cluster is looked at again although nothing has happened. Pure. */
import type { ClusterPhase } from '@pgherd/api';
import type { ClusterObject } from './kind.ts';

/** A steady cluster is looked at this often. */
const STEADY_MS = 10_000;
const BOOTSTRAP_MS = 300;
/** A cluster that takes longer than this to come up is no longer looked at in a hurry. */
const HURRY_FOR_MS = 120_000;
const CHANGING_MS = 1_000;
const ILL_MS = 2_000;

/** In so many milliseconds; `now` in milliseconds since 1970. */
export function nextLookMs(cluster: ClusterObject, phase: ClusterPhase | undefined, now: number): number {
  const age = now - Date.parse(cluster.metadata.creationTimestamp ?? '');
  switch (phase) {
    case 'Ready':
    case 'Hibernated':
    case 'Maintenance':
      return STEADY_MS;
    case 'Creating':
    case 'Initializing':
    case 'WaitingForReplicas':
      return age < HURRY_FOR_MS ? BOOTSTRAP_MS : ILL_MS;
    case 'Degraded':
    case 'Failed':
      return ILL_MS;
    default:
      return CHANGING_MS;
  }
}
