import type { Condition, KubeObject, OwnerReference, Pod } from '@pgherd/kube';

/** What several controllers ask about a pod. */

export function conditionOf(
  object: { status?: { conditions?: Condition[] } },
  type: string,
): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

export function isReady(pod: Pod): boolean {
  return conditionOf(pod, 'Ready')?.status === 'True';
}

/** Ended by itself and not to be started again. */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isTerminating(pod: KubeObject): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Counts for whoever wants a number of pods. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && !isTerminating(pod);
}

/** Ready for at least `minReadySeconds`. */
export function isAvailable(pod: Pod, minReadySeconds: number, now: Date): boolean {
  const ready = conditionOf(pod, 'Ready');
  if (ready?.status !== 'True') return false;
  return (
    minReadySeconds === 0 ||
    now.getTime() >= Date.parse(ready.lastTransitionTime ?? '') + minReadySeconds * 1000
  );
}

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller);
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

/** The reference by which `owner` controls an object. */
export function controllerReference(owner: KubeObject): OwnerReference {
  const { apiVersion, kind, metadata } = owner;
  return {
    apiVersion,
    kind,
    name: metadata.name,
    uid: metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The conditions with one of them set; the time of the transition is kept while the status stays. */
export function withCondition(conditions: Condition[] | undefined, next: Condition): Condition[] {
  const old = conditions?.find(({ type }) => type === next.type);
  const lastTransitionTime =
    old?.status === next.status
      ? (old.lastTransitionTime ?? next.lastTransitionTime)
      : next.lastTransitionTime;
  const set = { ...next, lastTransitionTime };
  return old
    ? conditions!.map((condition) => (condition.type === next.type ? set : condition))
    : [...(conditions ?? []), set];
}
