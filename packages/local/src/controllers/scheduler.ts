import {
  isKubeError,
  kinds,
  type Node,
  type PersistentVolume,
  type PersistentVolumeClaim,
  type Pod,
  type StorageClass,
  time,
} from '@pgherd/kube';
import { BY_CLAIM, claimsOf } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { type ClaimFact, place } from './placement.ts';
import { conditionOf, isFinished, isTerminating } from './pods.ts';

/** Gives each new pod a node. The judgement is in placement.ts. */

const NAME = 'default-scheduler';
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
/** A choice that the API confirmed but our cache has not shown for this long is forgotten. */
const ASSUMED_FOR_MS = 30_000;

/** Whether the pod is one to find a node for. Pure. */
export function isToSchedule(pod: Pod | undefined): boolean {
  return (
    !!pod &&
    !pod.spec.nodeName &&
    !isTerminating(pod) &&
    !isFinished(pod) &&
    (pod.spec.schedulerName ?? NAME) === NAME
  );
}

/** Whether a change of a node may let a waiting pod in. Its heartbeats do not. Pure. */
export function nodeMatters(node: Node | undefined, old: Node | undefined): boolean {
  if (!node) return false;
  const facts = (one: Node) =>
    JSON.stringify([
      one.metadata.labels,
      one.spec,
      conditionOf(one, 'Ready')?.status,
      one.status?.allocatable,
    ]);
  return !old || facts(node) !== facts(old);
}

/** What a claim is worth to the scheduler. Pure. */
export function claimFact(
  name: string,
  claim: PersistentVolumeClaim | undefined,
  storageClass: StorageClass | undefined,
  volume: PersistentVolume | undefined,
): ClaimFact {
  if (!claim) return { state: 'missing', name };
  if (claim.metadata.deletionTimestamp) {
    return {
      state: 'unbound',
      name,
      waits: false,
      reason: `persistentvolumeclaim "${name}" is being deleted`,
    };
  }
  if (claim.spec.volumeName && claim.status?.phase === 'Bound' && volume)
    return { state: 'bound', name, volume };
  const waits = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && !claim.spec.volumeName;
  return { state: 'unbound', name, waits, node: claim.metadata.annotations?.[SELECTED_NODE] };
}

/** A claim for which a node was chosen and that is not bound yet. */
function isBeingBound(claim: ClaimFact): boolean {
  return claim.state === 'unbound' && claim.node !== undefined && claim.reason === undefined;
}

function on(pod: Pod, nodeName: string): { pod: Pod; until: number } {
  return { pod: { ...pod, spec: { ...pod.spec, nodeName } }, until: performance.now() + ASSUMED_FOR_MS };
}

/** Runs the controller. */
export function startScheduler(context: Context): void {
  new Scheduler(context).start();
}

class Scheduler {
  private readonly context: Context;
  private readonly queue;
  /** Pods that fit nowhere when last tried. */
  private readonly waiting = new Set<string>();
  /** Choices made that the pod cache may not show yet: uid → pod with its node. */
  private readonly assumed = new Map<string, { pod: Pod; until: number }>();
  /** Nodes chosen for pods whose claims are being bound: the next choice must count them, as if they were there. */
  private readonly intended = new Map<string, { pod: Pod; until: number }>();

  constructor(context: Context) {
    this.context = context;
    // One at a time: each choice must see the one before.
    this.queue = workQueue(context, 'scheduler', (key) => this.reconcile(key), { concurrency: 1 });
  }

  start(): void {
    const { pods, nodes, claims, namespaces } = this.context.caches;
    pods.onChange((pod, old) => {
      if (pod?.spec.nodeName || !pod) {
        this.assumed.delete((pod ?? old)!.metadata.uid ?? '');
        this.intended.delete((pod ?? old)!.metadata.uid ?? '');
      }
      if (pod && isToSchedule(pod)) {
        if (!old || old.metadata.labels !== pod.metadata.labels) this.queue.add(keyOf(pod));
        return;
      }
      this.waiting.delete(keyOf((pod ?? old)!));
      // Room may have been made, or company found.
      if (!pod || isFinished(pod) || !old || (!old.spec.nodeName && pod.spec.nodeName)) this.retry();
    });
    nodes.onChange((node, old) => {
      if (nodeMatters(node, old)) this.retry();
    });
    namespaces.onChange(() => this.retry());
    claims.onChange((claim, old) => {
      for (const pod of pods.byIndex(BY_CLAIM, keyOf((claim ?? old)!)))
        if (isToSchedule(pod)) this.queue.add(keyOf(pod));
    });
  }

  private retry(): void {
    for (const key of this.waiting) this.queue.add(key);
  }

  private async reconcile(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const { pods, nodes, namespaces } = this.context.caches;
    const pod = pods.get(namespace, name);
    if (!pod || !isToSchedule(pod) || this.assumed.has(pod.metadata.uid!)) {
      this.waiting.delete(key);
      return;
    }
    const claims = claimsOf(pod).map((claim) => this.claim(claim));
    // Its volumes are on their way, and will bring it back here.
    if (this.intended.has(pod.metadata.uid!) && claims.some(isBeingBound)) return;
    const assumed = this.assumedPods(pod.metadata.uid!);
    const placed = pods.list({ where: (other) => other.spec.nodeName !== undefined });
    const snapshot = { nodes: nodes.list(), pods: [...placed, ...assumed], namespaces: namespaces.list() };
    const choice = place(pod, claims, snapshot);
    if (choice.node === undefined) return this.refuse(key, pod, choice.message);
    const unbound = claims.filter((claim) => claim.state === 'unbound');
    if (unbound.length > 0) {
      // The binding of its claims brings the pod back here, and by then they say where it must go.
      for (const claim of unbound)
        if (claim.node !== choice.node) await this.selectNode(namespace, claim.name, choice.node);
      this.intended.set(pod.metadata.uid!, on(pod, choice.node));
      return;
    }
    await this.bind(key, pod, choice.node);
  }

  private claim(key: string): ClaimFact {
    const { claims, classes, volumes } = this.context.caches;
    const { namespace, name } = splitKey(key);
    const claim = claims.get(namespace, name);
    const storageClass = claim?.spec.storageClassName
      ? classes.get(undefined, claim.spec.storageClassName)
      : undefined;
    const volume = claim?.spec.volumeName ? volumes.get(undefined, claim.spec.volumeName) : undefined;
    return claimFact(name, claim, storageClass, volume);
  }

  /** Pods that have a node by our own choice only, `except` left out. */
  private assumedPods(except: string): Pod[] {
    const now = performance.now();
    return [this.assumed, this.intended].flatMap((choices) => {
      for (const [uid, { until }] of choices) if (until < now) choices.delete(uid);
      return [...choices].filter(([uid]) => uid !== except).map(([, { pod }]) => pod);
    });
  }

  private async selectNode(namespace: string | undefined, name: string, node: string): Promise<void> {
    const { client, caches } = this.context;
    const body = { metadata: { annotations: { [SELECTED_NODE]: node } } };
    caches.claims.absorb(
      await client.patch(kinds.PersistentVolumeClaim, { namespace, name }, { type: 'merge', body }),
    );
  }

  private async bind(key: string, pod: Pod, node: string): Promise<void> {
    const { client, events } = this.context;
    const { namespace, name, uid } = pod.metadata;
    this.waiting.delete(key);
    this.intended.delete(uid!);
    this.assumed.set(uid!, on(pod, node));
    try {
      await client.post(kinds.Pod, pod.metadata, 'binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { namespace, name, uid },
        target: { apiVersion: 'v1', kind: 'Node', name: node },
      });
    } catch (error) {
      this.assumed.delete(uid!);
      if (isKubeError(error, 'NotFound', 'Conflict')) return;
      throw error;
    }
    events(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
  }

  private async refuse(key: string, pod: Pod, message: string): Promise<void> {
    const { client, events, now } = this.context;
    this.waiting.add(key);
    events(pod, 'Warning', 'FailedScheduling', message);
    const old = conditionOf(pod, 'PodScheduled');
    if (old?.status === 'False' && old.message === message) return;
    const lastTransitionTime = old?.status === 'False' ? old.lastTransitionTime : time(now());
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime,
    };
    try {
      await client.patch(kinds.Pod, pod.metadata, {
        type: 'strategic',
        subresource: 'status',
        body: { status: { conditions: [condition] } },
      });
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }
}
