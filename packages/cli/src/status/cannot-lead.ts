/** Why a replica cannot be made the primary just now, as the operator and the instances judge it. Pure. */
import { ANNOTATION_LEAVING, effective, isFenced } from '@pgherd/api';
import type { Observed } from './observe.ts';
import type { InstanceView } from './view.ts';

/** Without `spec.maximumLag`, the operator refuses a target that is further behind than this. */
const MAX_LAG_BYTES = 64n << 20n;

/** In a few words; undefined where nothing is known to be in the way. */
export function cannotLead(
  { cluster, pods }: Observed,
  { name, ready, state, lagBytes }: Pick<InstanceView, 'name' | 'ready' | 'state' | 'lagBytes'>,
): string | undefined {
  const { failoverPriority, maximumLag = MAX_LAG_BYTES } = effective(cluster);
  if (isFenced(cluster, name)) return 'fenced';
  const pod = pods.find(({ metadata }) => metadata.name === name);
  if (pod?.metadata.annotations?.[ANNOTATION_LEAVING]) return 'being removed';
  if (failoverPriority[name] === 0) return 'never leads (0 in spec.failoverPriority)';
  if (!ready || state === 'not streaming') return state;
  return lagBytes !== undefined && BigInt(lagBytes) > maximumLag ? 'too far behind' : undefined;
}
