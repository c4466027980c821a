import { isDeepStrictEqual } from 'node:util';
import { isKubeError, kinds, type Pod, type ReplicaSet } from '@pgherd/kube';
import { BY_OWNER } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import {
  controllerOf,
  controllerReference,
  isActive,
  isAvailable,
  isControlledBy,
  isReady,
  isTerminating,
} from './pods.ts';

/** Keeps the number of pods of each ReplicaSet. */

export interface ReplicaPlan {
  create: number;
  remove: Pod[];
  status: NonNullable<ReplicaSet['status']>;
}

/** How many pods to make, which to remove, and what to say of it. Pure. */
export function planReplicas(set: ReplicaSet, owned: Pod[], now: Date): ReplicaPlan {
  const active = owned.filter(isActive);
  const wanted = isTerminating(set) ? active.length : (set.spec.replicas ?? 1);
  const surplus = active.length - wanted;
  const available = active.filter((pod) => isAvailable(pod, set.spec.minReadySeconds ?? 0, now));
  return {
    create: Math.max(0, -surplus),
    remove: surplus > 0 ? [...active].sort(byWorth).slice(0, surplus) : [],
    status: {
      replicas: active.length,
      fullyLabeledReplicas: active.length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas: available.length,
      observedGeneration: set.metadata.generation,
    },
  };
}

/** The least worth first: without a node, not running, not ready, the youngest. */
function byWorth(a: Pod, b: Pod): number {
  const worth = (pod: Pod) => [
    Number(pod.spec.nodeName !== undefined),
    Number(pod.status?.phase === 'Running'),
    Number(isReady(pod)),
    -Date.parse(pod.metadata.creationTimestamp ?? ''),
  ];
  const [x, y] = [worth(a), worth(b)];
  for (let n = 0; n < x.length; n++) if (x[n] !== y[n]) return (x[n] ?? 0) - (y[n] ?? 0);
  return 0;
}

/** Runs the controller. */
export function startReplicaSets(context: Context): void {
  const { client, caches, events, now } = context;
  const { replicaSets, pods } = caches;
  /** Pods whose deletion we asked for and whose end the cache may not show yet. */
  const removed = new Set<string>();
  const queue = workQueue(context, 'replicasets', reconcile);
  replicaSets.onChange((set) => {
    if (set) queue.add(keyOf(set));
  });
  pods.onChange((pod, old) => {
    const { metadata } = (pod ?? old)!;
    if (!pod || isTerminating(pod)) removed.delete(metadata.uid!);
    const owner = controllerOf((pod ?? old)!);
    if (owner?.kind === 'ReplicaSet') queue.add(`${metadata.namespace}/${owner.name}`);
  });

  async function reconcile(key: string): Promise<{ afterMs: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const set = replicaSets.get(namespace, name);
    if (!set) return undefined;
    const owned = pods
      .byIndex(BY_OWNER, set.metadata.uid!)
      .filter((pod) => isControlledBy(pod, set) && !removed.has(pod.metadata.uid!));
    const plan = planReplicas(set, owned, now());
    for (let n = 0; n < plan.create; n++) await create(set);
    for (const pod of plan.remove) await remove(set, pod);
    await say(set, plan.status);
    const { readyReplicas = 0, availableReplicas = 0 } = plan.status;
    return readyReplicas > availableReplicas ? { afterMs: 1_000 } : undefined;
  }

  async function create(set: ReplicaSet): Promise<void> {
    const { namespace, name } = set.metadata;
    const { metadata, spec } = set.spec.template!;
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: '',
        generateName: `${name}-`,
        namespace,
        labels: metadata?.labels,
        annotations: metadata?.annotations,
        ownerReferences: [controllerReference(set)],
      },
      spec,
    };
    try {
      const made = await client.create(kinds.Pod, pod);
      pods.absorb(made);
      events(set, 'Normal', 'SuccessfulCreate', `Created pod: ${made.metadata.name}`);
    } catch (error) {
      if (isKubeError(error, 'Forbidden', 'Invalid'))
        events(set, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
      throw error;
    }
  }

  async function remove(set: ReplicaSet, pod: Pod): Promise<void> {
    const { uid, name } = pod.metadata;
    try {
      await client.delete(kinds.Pod, pod.metadata, { preconditions: { uid } });
      removed.add(uid!);
      // The end may have been seen already.
      if (!pods.get(pod.metadata.namespace, name)) removed.delete(uid!);
      events(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }

  async function say(set: ReplicaSet, status: NonNullable<ReplicaSet['status']>): Promise<void> {
    if (isDeepStrictEqual({ ...set.status, ...status }, set.status)) return;
    const body = { status };
    replicaSets.absorb(
      await client.patch(kinds.ReplicaSet, set.metadata, { type: 'merge', subresource: 'status', body }),
    );
  }
}
