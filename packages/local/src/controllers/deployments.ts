import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type Deployment,
  isKubeError,
  kinds,
  type PodTemplateSpec,
  type ReplicaSet,
  time,
} from '@pgherd/kube';
import { BY_OWNER } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { conditionOf, controllerOf, controllerReference, isControlledBy, withCondition } from './pods.ts';

/** Rolls a Deployment from one template to the next, a ReplicaSet for each. */

const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';

export interface DeploymentPlan {
  /** The ReplicaSet to create for the current template. */
  create?: ReplicaSet;
  scale: { set: ReplicaSet; to: number }[];
  remove: ReplicaSet[];
  /** The current set's revision, when it must be raised (an old template came back). */
  revision?: string;
  status: NonNullable<Deployment['status']>;
}

/** The next step of a roll, and the status that goes with it. Pure. */
export function planDeployment(deployment: Deployment, sets: ReplicaSet[], now: Date): DeploymentPlan {
  const current = sets.find((set) => sameTemplate(set.spec.template, deployment.spec.template));
  const old = sets.filter((set) => set !== current);
  const highest = Math.max(0, ...sets.map(revisionOf));
  const plan: DeploymentPlan = { scale: [], remove: [], status: statusOf(deployment, sets, current, now) };
  if (deployment.metadata.deletionTimestamp) return plan;
  if (deployment.spec.paused) return plan;
  if (current && revisionOf(current) < highest) plan.revision = String(highest + 1);
  const wanted = deployment.spec.replicas ?? 1;
  if (deployment.spec.strategy?.type === 'Recreate')
    recreate(plan, deployment, current, old, wanted, highest);
  else roll(plan, deployment, current, old, wanted, highest);
  const complete = current?.status?.availableReplicas === wanted && old.every(isEmpty);
  const limit = deployment.spec.revisionHistoryLimit ?? 10;
  if (complete) plan.remove = [...old].sort((a, b) => revisionOf(b) - revisionOf(a)).slice(limit);
  return plan;
}

function recreate(
  plan: DeploymentPlan,
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: ReplicaSet[],
  wanted: number,
  highest: number,
): void {
  for (const set of old) if (size(set) > 0) plan.scale.push({ set, to: 0 });
  if (!old.every(isEmpty)) return;
  if (!current) plan.create = setFor(deployment, wanted, highest + 1);
  else if (size(current) !== wanted) plan.scale.push({ set: current, to: wanted });
}

function roll(
  plan: DeploymentPlan,
  deployment: Deployment,
  current: ReplicaSet | undefined,
  old: ReplicaSet[],
  wanted: number,
  highest: number,
): void {
  const { surge, unavailable } = bounds(deployment, wanted);
  const total = [current, ...old].reduce((sum, set) => sum + (set ? size(set) : 0), 0);
  const room = Math.max(0, wanted + surge - total);
  if (!current) {
    plan.create = setFor(deployment, Math.min(wanted, room), highest + 1);
    return;
  }
  if (size(current) > wanted) plan.scale.push({ set: current, to: wanted });
  else if (size(current) < wanted && room > 0)
    plan.scale.push({ set: current, to: Math.min(wanted, size(current) + room) });
  shrinkOld(plan, current, old, wanted - unavailable);
}

/** Takes from the old sets what may go: first what does not work anyway, then what the new set has made up for. */
function shrinkOld(plan: DeploymentPlan, current: ReplicaSet, old: ReplicaSet[], mustHave: number): void {
  const available = (set: ReplicaSet) => Math.min(set.status?.availableReplicas ?? 0, size(set));
  let spare = available(current) + old.reduce((sum, set) => sum + available(set), 0) - mustHave;
  for (const set of [...old].sort((a, b) => revisionOf(a) - revisionOf(b))) {
    if (size(set) === 0) continue;
    const working = available(set);
    const take = Math.max(0, Math.min(working, spare));
    spare -= take;
    const to = working - take;
    if (to < size(set)) plan.scale.push({ set, to });
  }
}

function bounds(deployment: Deployment, wanted: number): { surge: number; unavailable: number } {
  const { maxSurge = '25%', maxUnavailable = '25%' } = deployment.spec.strategy?.rollingUpdate ?? {};
  const surge = portion(maxSurge, wanted, Math.ceil);
  const unavailable = portion(maxUnavailable, wanted, Math.floor);
  // With both at zero nothing could ever move.
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : Math.min(unavailable, wanted) };
}

/** `3`, or `25%` of a whole, rounded. */
export function portion(value: number | string, whole: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  const match = /^(\d+)%$/.exec(value);
  return match ? round((Number(match[1]) * whole) / 100) : Number(value) || 0;
}

function size(set: ReplicaSet): number {
  return set.spec.replicas ?? 1;
}

function isEmpty(set: ReplicaSet): boolean {
  return size(set) === 0 && (set.status?.replicas ?? 0) === 0;
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[REVISION] ?? 0);
}

function sameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec): boolean {
  if (!a) return false;
  const { [HASH]: _, ...labels } = a.metadata?.labels ?? {};
  return isDeepStrictEqual(
    [labels, a.metadata?.annotations ?? {}, a.spec],
    [b.metadata?.labels ?? {}, b.metadata?.annotations ?? {}, b.spec],
  );
}

function setFor(deployment: Deployment, replicas: number, revision: number): ReplicaSet {
  const { spec, metadata } = deployment;
  const template = { metadata: spec.template.metadata ?? {}, spec: spec.template.spec };
  const content = JSON.stringify([template.metadata.labels, template.metadata.annotations, template.spec]);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 9);
  const labels = { ...template.metadata.labels, [HASH]: hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${metadata.name}-${hash}`,
      namespace: metadata.namespace,
      labels,
      annotations: { [REVISION]: String(revision) },
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      minReadySeconds: spec.minReadySeconds,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [HASH]: hash } },
      template: { metadata: { ...template.metadata, labels }, spec: template.spec },
    },
  };
}

function statusOf(
  deployment: Deployment,
  sets: ReplicaSet[],
  current: ReplicaSet | undefined,
  now: Date,
): NonNullable<Deployment['status']> {
  const sum = (field: 'replicas' | 'readyReplicas' | 'availableReplicas') =>
    sets.reduce((total, set) => total + (set.status?.[field] ?? 0), 0);
  const wanted = deployment.spec.replicas ?? 1;
  const available = sum('availableReplicas');
  const updated = current?.status?.replicas ?? 0;
  const at = time(now);
  const enough = available >= wanted - bounds(deployment, wanted).unavailable;
  const done = updated === wanted && sum('replicas') === wanted && available === wanted;
  let conditions = withCondition(deployment.status?.conditions, {
    type: 'Available',
    status: enough ? 'True' : 'False',
    reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
    lastTransitionTime: at,
  });
  const name = current ? `ReplicaSet "${current.metadata.name}"` : 'a ReplicaSet';
  conditions = withCondition(conditions, {
    type: 'Progressing',
    ...progress(deployment, done, name, `${updated}/${available}`, now),
    lastTransitionTime: at,
  });
  return {
    observedGeneration: deployment.metadata.generation,
    replicas: sum('replicas'),
    updatedReplicas: updated,
    readyReplicas: sum('readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
    conditions,
  };
}

function progress(deployment: Deployment, done: boolean, name: string, mark: string, now: Date) {
  const old = conditionOf(deployment, 'Progressing');
  if (done)
    return {
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      message: `${name} has successfully progressed.`,
      lastUpdateTime: old?.reason === 'NewReplicaSetAvailable' ? old.lastUpdateTime : time(now),
    };
  const known = deployment.status;
  const moved =
    mark !== `${known?.updatedReplicas ?? 0}/${known?.availableReplicas ?? 0}` ||
    known?.observedGeneration !== deployment.metadata.generation ||
    old === undefined;
  const limitMs = (deployment.spec.progressDeadlineSeconds ?? 600) * 1000;
  const since = Date.parse(old?.lastUpdateTime ?? '') || now.getTime();
  if (!moved && now.getTime() - since > limitMs) {
    return {
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
      message: `${name} has timed out progressing.`,
      lastUpdateTime: old?.reason === 'ProgressDeadlineExceeded' ? old.lastUpdateTime : time(now),
    };
  }
  return {
    status: 'True',
    reason: 'ReplicaSetUpdated',
    message: `${name} is progressing.`,
    lastUpdateTime: moved ? time(now) : old?.lastUpdateTime,
  };
}

/** Runs the controller. */
export function startDeployments(context: Context): void {
  const { client, caches, events, now } = context;
  const { deployments, replicaSets } = caches;
  const queue = workQueue(context, 'deployments', reconcile);
  deployments.onChange((deployment) => {
    if (deployment) queue.add(keyOf(deployment));
  });
  replicaSets.onChange((set, old) => {
    const owner = controllerOf((set ?? old)!);
    if (owner?.kind === 'Deployment') queue.add(`${(set ?? old)!.metadata.namespace}/${owner.name}`);
  });

  async function reconcile(key: string): Promise<{ afterMs: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const deployment = deployments.get(namespace, name);
    if (!deployment) return undefined;
    const sets = replicaSets
      .byIndex(BY_OWNER, deployment.metadata.uid!)
      .filter((set) => isControlledBy(set, deployment));
    const plan = planDeployment(deployment, sets, now());
    if (plan.create) {
      replicaSets.absorb(await client.create(kinds.ReplicaSet, plan.create));
      const { metadata, spec } = plan.create;
      events(
        deployment,
        'Normal',
        'ScalingReplicaSet',
        `Scaled up replica set ${metadata.name} to ${spec.replicas}`,
      );
    }
    if (plan.revision) await raise(sets, deployment, plan.revision);
    for (const { set, to } of plan.scale) await scale(deployment, set, to);
    for (const set of plan.remove) await remove(set);
    await say(deployment, plan);
    const waits = conditionOf({ status: plan.status }, 'Progressing')?.reason === 'ReplicaSetUpdated';
    return waits ? { afterMs: 30_000 } : undefined;
  }

  async function scale(deployment: Deployment, set: ReplicaSet, to: number): Promise<void> {
    const from = size(set);
    const { resourceVersion } = set.metadata;
    const body = { metadata: { resourceVersion }, spec: { replicas: to } };
    replicaSets.absorb(await client.patch(kinds.ReplicaSet, set.metadata, { type: 'merge', body }));
    const way = to > from ? 'up' : 'down';
    events(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${way} replica set ${set.metadata.name} from ${from} to ${to}`,
    );
  }

  async function raise(sets: ReplicaSet[], deployment: Deployment, revision: string): Promise<void> {
    const current = sets.find((set) => sameTemplate(set.spec.template, deployment.spec.template))!;
    const body = { metadata: { annotations: { [REVISION]: revision } } };
    replicaSets.absorb(await client.patch(kinds.ReplicaSet, current.metadata, { type: 'merge', body }));
  }

  async function remove(set: ReplicaSet): Promise<void> {
    try {
      await client.delete(kinds.ReplicaSet, set.metadata, { propagationPolicy: 'Background' });
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }

  async function say(deployment: Deployment, plan: DeploymentPlan): Promise<void> {
    const { metadata, status } = deployment;
    const revision = plan.revision ?? plan.create?.metadata.annotations?.[REVISION];
    if (revision && metadata.annotations?.[REVISION] !== revision) {
      const body = { metadata: { annotations: { [REVISION]: revision } } };
      deployments.absorb(await client.patch(kinds.Deployment, metadata, { type: 'merge', body }));
    }
    if (isDeepStrictEqual({ ...status, ...plan.status }, status)) return;
    const body = { status: plan.status };
    deployments.absorb(
      await client.patch(kinds.Deployment, metadata, { type: 'merge', subresource: 'status', body }),
    );
  }
}
