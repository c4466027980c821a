import { isDeepStrictEqual } from 'node:util';
import {
  type Condition,
  isKubeError,
  kinds,
  type Lease,
  type Node,
  type Pod,
  type Taint,
  time,
} from '@pgherd/kube';
import { BY_NODE } from './caches.ts';
import { type Context, splitKey, workQueue } from './context.ts';
import { tolerates } from './placement.ts';
import { conditionOf, isFinished, isReady, isTerminating } from './pods.ts';

/** The life of nodes: silence makes them Unknown, taints follow their conditions, pods leave in their time. */

export const GRACE_MS = 40_000;
const LEASE_NAMESPACE = 'kube-node-lease';
const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';
const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
const OURS = new Set([NOT_READY, UNREACHABLE, UNSCHEDULABLE]);
const KUBELET_CONDITIONS = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];
/** A timer this late means that we ourselves did not run: then silence proves nothing. */
const LATE_MS = 5_000;

export interface NodePlan {
  /** Conditions to write, when the node has been silent too long. */
  conditions?: Condition[];
  /** Taints to write, when they differ. */
  taints?: Taint[];
  /** Its pods cannot be reached: they must not be Ready any longer. */
  markPods: boolean;
}

/** What to write about a node that last gave a sign `silentMs` ago. Pure. */
export function planNode(node: Node, silentMs: number, now: Date): NodePlan {
  const silent = silentMs >= GRACE_MS;
  const at = time(now);
  const ready = conditionOf(node, 'Ready');
  const plan: NodePlan = { markPods: silent || ready?.status === 'False' };
  if (silent && ready?.status !== 'Unknown') {
    plan.conditions = KUBELET_CONDITIONS.flatMap((type) => {
      const old = conditionOf(node, type);
      if (!old && type !== 'Ready') return [];
      return {
        ...old,
        type,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: at,
      };
    });
  }
  const state =
    silent || ready?.status === 'Unknown' ? UNREACHABLE : ready?.status === 'True' ? undefined : NOT_READY;
  const taints = taintsFor(node, state, at);
  if (!isDeepStrictEqual(taints, node.spec?.taints ?? [])) plan.taints = taints;
  return plan;
}

function taintsFor(node: Node, state: string | undefined, at: string): Taint[] {
  const known = node.spec?.taints ?? [];
  const wanted: Taint[] = [];
  if (node.spec?.unschedulable) wanted.push({ key: UNSCHEDULABLE, effect: 'NoSchedule' });
  if (state) wanted.push({ key: state, effect: 'NoSchedule' }, { key: state, effect: 'NoExecute' });
  const ours = wanted.map(
    (taint) =>
      known.find((old) => old.key === taint.key && old.effect === taint.effect) ?? {
        ...taint,
        timeAdded: at,
      },
  );
  return [...known.filter(({ key }) => !OURS.has(key)), ...ours];
}

/** When a pod must leave its node: milliseconds from now (0: at once), or undefined: it may stay. Pure. */
export function evictionDelay(pod: Pod, taints: Taint[], now: Date): number | undefined {
  if (isFinished(pod) || isTerminating(pod)) return undefined;
  let delay: number | undefined;
  for (const taint of taints) {
    if (taint.effect !== 'NoExecute') continue;
    const covering = (pod.spec.tolerations ?? []).filter((toleration) => tolerates([toleration], taint));
    const seconds = covering.map(({ tolerationSeconds }) => tolerationSeconds);
    if (covering.length > 0 && seconds.includes(undefined)) continue;
    const since = Date.parse(taint.timeAdded ?? '') || now.getTime();
    const stay = covering.length === 0 ? 0 : Math.min(...(seconds as number[])) * 1000;
    const left = Math.max(0, since + stay - now.getTime());
    delay = Math.min(delay ?? left, left);
  }
  return delay;
}

/** Runs the controller. */
export function startNodes(context: Context): void {
  new Nodes(context).start();
}

class Nodes {
  private readonly context: Context;
  private readonly nodeQueue;
  private readonly podQueue;
  /** When, by our own clock, we last saw a sign of each node, and which sign. */
  private readonly signs = new Map<string, { sign: string; at: number; silent: boolean }>();

  constructor(context: Context) {
    this.context = context;
    this.nodeQueue = workQueue(context, 'nodes', (key) => this.reconcileNode(key));
    this.podQueue = workQueue(context, 'evictions', (key) => this.reconcilePod(key));
  }

  start(): void {
    const { nodes, leases, pods } = this.context.caches;
    nodes.onChange((node, old) => {
      const { name } = (node ?? old)!.metadata;
      if (!node) this.signs.delete(name);
      this.seen(name);
      if (!node || !old || !isDeepStrictEqual(node.spec, old.spec) || readyOf(node) !== readyOf(old)) {
        this.nodeQueue.add(name);
        for (const pod of pods.byIndex(BY_NODE, name))
          this.podQueue.add(`${pod.metadata.namespace}/${pod.metadata.name}`);
      }
    });
    leases.onChange((lease, old) => {
      const { namespace, name } = (lease ?? old)!.metadata;
      if (namespace === LEASE_NAMESPACE) this.seen(name);
    });
    pods.onChange((pod, old) => {
      if (pod?.spec.nodeName && (!old?.spec.nodeName || isReady(pod) !== isReady(old))) {
        this.podQueue.add(`${pod.metadata.namespace}/${pod.metadata.name}`);
      }
    });
  }

  /** Notes a sign of life, if there is a new one. */
  private seen(name: string): void {
    const { nodes, leases } = this.context.caches;
    const node = nodes.get(undefined, name);
    if (!node) return;
    const sign = signOf(node, leases.get(LEASE_NAMESPACE, name));
    const known = this.signs.get(name);
    if (known?.sign === sign) return;
    this.signs.set(name, { sign, at: performance.now(), silent: false });
    if (!known || known.silent) this.nodeQueue.add(name);
  }

  private async reconcileNode(name: string): Promise<{ afterMs: number } | undefined> {
    const { caches, client, now, events } = this.context;
    const node = caches.nodes.get(undefined, name);
    if (!node) return undefined;
    const silentMs = this.silence(name);
    const plan = planNode(node, silentMs, now());
    if (plan.conditions) {
      const body = { status: { conditions: plan.conditions } };
      caches.nodes.absorb(
        await client.patch(kinds.Node, node.metadata, { type: 'strategic', subresource: 'status', body }),
      );
      events(node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    }
    if (plan.taints) {
      const fresh = caches.nodes.get(undefined, name)!;
      const body = {
        metadata: { resourceVersion: fresh.metadata.resourceVersion },
        spec: { taints: plan.taints },
      };
      caches.nodes.absorb(await client.patch(kinds.Node, node.metadata, { type: 'merge', body }));
    }
    if (plan.markPods) for (const pod of caches.pods.byIndex(BY_NODE, name)) await this.markPod(pod);
    // The earliest time at which the silence may be long enough; signs until then will have moved it.
    return silentMs < GRACE_MS ? { afterMs: GRACE_MS - silentMs + 10 } : undefined;
  }

  /** Milliseconds of silence that count. */
  private silence(name: string): number {
    const { nodes, leases } = this.context.caches;
    const known = this.signs.get(name);
    const at = performance.now();
    if (!known) return 0;
    if (known.silent) return GRACE_MS;
    // While we could not look, or did not run ourselves, the node had no way to show us that it lives.
    const since = Math.max(known.at, nodes.stats.currentSince ?? at, leases.stats.currentSince ?? at);
    if (at - since > GRACE_MS + LATE_MS) known.at = at;
    const silentMs = at - Math.max(since, known.at);
    known.silent = silentMs >= GRACE_MS;
    return silentMs;
  }

  private async markPod(pod: Pod): Promise<void> {
    const ready = conditionOf(pod, 'Ready');
    if (ready?.status !== 'True') return;
    const condition = {
      type: 'Ready',
      status: 'False',
      reason: 'NodeNotReady',
      lastTransitionTime: time(this.context.now()),
    };
    const body = { status: { conditions: [condition] } };
    await this.ignoringMissing(
      this.context.client.patch(kinds.Pod, pod.metadata, { type: 'strategic', subresource: 'status', body }),
    );
  }

  private async reconcilePod(key: string): Promise<{ afterMs: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const { caches, client, events, now, log } = this.context;
    const pod = caches.pods.get(namespace, name);
    if (!pod?.spec.nodeName) return undefined;
    const node = caches.nodes.get(undefined, pod.spec.nodeName);
    if (!node) {
      if (await client.find(kinds.Node, { name: pod.spec.nodeName })) return { afterMs: 1_000 };
      log.info({ pod: key, node: pod.spec.nodeName }, 'removing a pod whose node is gone');
      await this.remove(pod);
      return undefined;
    }
    if (isAbandoned(pod, node)) {
      log.info({ pod: key, node: pod.spec.nodeName }, 'removing a pod whose node is out of service');
      await this.remove(pod);
      return undefined;
    }
    if (readyOf(node) !== 'True') await this.markPod(pod);
    const delay = evictionDelay(pod, node.spec?.taints ?? [], now());
    if (delay === undefined) return undefined;
    if (delay > 0) return { afterMs: delay };
    events(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
    await this.ignoringMissing(
      client.delete(kinds.Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } }),
    );
    return undefined;
  }

  /** Without waiting for anybody to stop it. */
  private async remove({ metadata }: Pod): Promise<void> {
    const preconditions = { uid: metadata.uid };
    await this.ignoringMissing(
      this.context.client.delete(kinds.Pod, metadata, { gracePeriodSeconds: 0, preconditions }),
    );
  }

  private async ignoringMissing(write: Promise<unknown>): Promise<void> {
    try {
      await write;
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }
}

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

/** Somebody has said that the node is off for good, and that what was told to stop there need not be waited for. */
export function isAbandoned(pod: Pod, node: Node): boolean {
  const said = node.spec?.taints?.some(({ key, effect }) => key === OUT_OF_SERVICE && effect === 'NoExecute');
  return said === true && readyOf(node) !== 'True' && isTerminating(pod);
}

function readyOf(node: Node): string | undefined {
  return conditionOf(node, 'Ready')?.status;
}

/** Whatever only a living agent changes. Our own writes must not look like a sign of life. */
function signOf(node: Node, lease: Lease | undefined): string {
  const ready = conditionOf(node, 'Ready');
  return `${lease?.spec.renewTime ?? ''}|${ready?.lastHeartbeatTime ?? ''}`;
}
