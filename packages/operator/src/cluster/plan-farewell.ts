/** A cluster with backups goes only when its last WAL is in the archive: a finalizer holds it until then. Pure. */
import { ANNOTATION_WITHOUT_LAST_WAL, FINALIZER_LAST_WAL, isHibernating } from '@pgherd/api';
import type { Action } from './actions.ts';
import { type Facts, type InstanceFacts, isTerminating, leaderName } from './facts.ts';
import { ClusterKind, type ClusterObject } from './kind.ts';
import { BOOTSTRAP_ID } from './plan-restoration.ts';

/** Since the deletion: what is not archived by then is left. */
const LONGEST_MS = 90_000;

/** The finalizer, put on once there is something that can be restored, and taken off when nothing needs it. */
export function planHold({ cluster, spec }: Facts): Action[] {
  const wanted =
    spec.backup !== undefined &&
    cluster.status?.firstRecoverabilityPoint !== undefined &&
    cluster.metadata.annotations?.[ANNOTATION_WITHOUT_LAST_WAL] === undefined;
  if (wanted === isHeldBack(cluster)) return [];
  const others = without(cluster);
  return [
    finalizers(
      cluster,
      wanted ? [...others, FINALIZER_LAST_WAL] : others,
      wanted ? 'its last WAL is to be archived before it goes' : 'it may go without its last WAL',
    ),
  ];
}

export type Farewell =
  /** Nothing holds it. */
  | { do: 'nothing' }
  /** Have this primary archive its last WAL within so many milliseconds, then let it go. */
  | { do: 'seal'; primary: InstanceFacts; leftMs: number }
  /** There are instances, and none is known to be primary: one may be about to become it, or to answer. */
  | { do: 'wait' }
  /** `why`: what it goes without, if that is worth a word. */
  | { do: 'release'; why?: string };

/** What a cluster that is being deleted still needs. */
export function planFarewell(facts: Facts): Farewell {
  const { cluster, now, instances } = facts;
  const { deletionTimestamp = '', annotations } = cluster.metadata;
  if (!isTerminating(cluster) || !isHeldBack(cluster)) return { do: 'nothing' };
  if (annotations?.[ANNOTATION_WITHOUT_LAST_WAL] !== undefined) return { do: 'release' };
  // One that sleeps has archived everything as it fell asleep.
  if (isHibernating(cluster)) return { do: 'release' };
  if (instances.every(({ pod }) => !pod || isTerminating(pod)))
    return { do: 'release', why: 'no instance runs that could archive it' };
  const leftMs = Date.parse(deletionTimestamp) + LONGEST_MS - now;
  if (leftMs <= 0) return { do: 'release', why: `it could not be archived within ${LONGEST_MS / 1000} s` };
  const primary = instances.find(({ report }) => report?.role === 'primary' && report.leader);
  // Nothing was ever committed in one that is being recovered for the first time.
  const { id, stage } = cluster.status?.restoration ?? {};
  if (!leaderName(facts) && id === BOOTSTRAP_ID && stage === 'restoring') return { do: 'release' };
  return primary && !isTerminating(primary.pod) ? { do: 'seal', primary, leftMs } : { do: 'wait' };
}

/** The finalizer comes off: the garbage collector takes what belongs to the cluster. */
export function release(cluster: ClusterObject): Extract<Action, { do: 'patch' }> {
  return finalizers(cluster, without(cluster), 'it may go now');
}

function isHeldBack({ metadata }: ClusterObject): boolean {
  return metadata.finalizers?.includes(FINALIZER_LAST_WAL) ?? false;
}

function without({ metadata }: ClusterObject): string[] {
  return (metadata.finalizers ?? []).filter((one) => one !== FINALIZER_LAST_WAL);
}

/** The version goes along: the list is replaced as a whole, and others have finalizers too. */
function finalizers(
  { metadata }: ClusterObject,
  list: string[],
  why: string,
): Extract<Action, { do: 'patch' }> {
  const body = { metadata: { finalizers: list, resourceVersion: metadata.resourceVersion } };
  return { do: 'patch', kind: ClusterKind, name: metadata.name, body, why };
}
