import { isDeepStrictEqual } from 'node:util';
import {
  kinds,
  matchesSelector,
  type OwnerReference,
  objectPath,
  type Pod,
  type PodDisruptionBudget,
  time,
} from '@pgherd/kube';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { portion } from './deployments.ts';
import { controllerOf, isFinished, isReady, isTerminating, withCondition } from './pods.ts';

/** Says of each disruption budget how many of its pods may be evicted now. */

/** An eviction that the API granted but whose pod stays is forgotten after this long. */
const DISRUPTED_FOR_MS = 120_000;

export interface BudgetPlan {
  status: NonNullable<PodDisruptionBudget['status']>;
  afterMs?: number;
}

/**
 * The status of a budget. `pods` are those it selects; `scale` is the number their controllers want, undefined
 * when no controller says. Pure.
 */
export function planBudget(
  budget: PodDisruptionBudget,
  pods: Pod[],
  scale: number | undefined,
  now: Date,
): BudgetPlan {
  const counted = pods.filter((pod) => !isFinished(pod));
  const { disruptedPods, afterMs } = stillDisrupted(budget, counted, now);
  const { minAvailable, maxUnavailable } = budget.spec;
  const whole = scale ?? counted.length;
  let expectedPods = whole;
  let desiredHealthy = 0;
  if (maxUnavailable !== undefined) {
    desiredHealthy = Math.max(0, whole - portion(maxUnavailable, whole, Math.ceil));
  } else if (typeof minAvailable === 'string' && minAvailable.endsWith('%')) {
    desiredHealthy = portion(minAvailable, whole, Math.ceil);
  } else {
    expectedPods = counted.length;
    desiredHealthy = Number(minAvailable ?? 1);
  }
  const currentHealthy = counted.filter(
    (pod) => isReady(pod) && !isTerminating(pod) && disruptedPods[pod.metadata.name] === undefined,
  ).length;
  const disruptionsAllowed = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0;
  const allowed = disruptionsAllowed > 0;
  return {
    afterMs,
    status: {
      observedGeneration: budget.metadata.generation,
      ...(Object.keys(disruptedPods).length > 0 ? { disruptedPods } : {}),
      disruptionsAllowed,
      currentHealthy,
      desiredHealthy,
      expectedPods,
      conditions: withCondition(budget.status?.conditions, {
        type: 'DisruptionAllowed',
        status: allowed ? 'True' : 'False',
        reason: allowed ? 'SufficientPods' : 'InsufficientPods',
        message: '',
        observedGeneration: budget.metadata.generation,
        lastTransitionTime: time(now),
      }),
    },
  };
}

function stillDisrupted(budget: PodDisruptionBudget, pods: Pod[], now: Date) {
  const disruptedPods: Record<string, string> = {};
  let afterMs: number | undefined;
  for (const [name, at] of Object.entries(budget.status?.disruptedPods ?? {})) {
    const pod = pods.find(({ metadata }) => metadata.name === name);
    const left = Date.parse(at) + DISRUPTED_FOR_MS - now.getTime();
    if (!pod || isTerminating(pod) || left <= 0) continue;
    disruptedPods[name] = at;
    afterMs = Math.min(afterMs ?? left, left);
  }
  return { disruptedPods, afterMs };
}

/** Runs the controller. */
export function startDisruption(context: Context): void {
  const { client, caches, discovery, log, now } = context;
  const { budgets, pods } = caches;
  const queue = workQueue(context, 'disruption', reconcile);
  budgets.onChange((budget) => {
    if (budget) queue.add(keyOf(budget));
  });
  pods.onChange((pod, old) => {
    const { namespace } = (pod ?? old)!.metadata;
    for (const budget of budgets.list({ namespace })) {
      const { selector } = budget.spec;
      if ([pod, old].some((one) => one && matchesSelector(one.metadata.labels, selector)))
        queue.add(keyOf(budget));
    }
  });

  async function reconcile(key: string): Promise<{ afterMs?: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const budget = budgets.get(namespace, name);
    if (!budget || isTerminating(budget)) return undefined;
    const selected = pods.list({
      namespace,
      where: (pod) => matchesSelector(pod.metadata.labels, budget.spec.selector),
    });
    const { minAvailable, maxUnavailable } = budget.spec;
    const asks =
      maxUnavailable !== undefined || (typeof minAvailable === 'string' && minAvailable.endsWith('%'));
    const plan = planBudget(budget, selected, asks ? await wantedBy(namespace, selected) : undefined, now());
    const { disruptedPods: old, ...known } = budget.status ?? {};
    const { disruptedPods, ...next } = plan.status;
    if (
      isDeepStrictEqual({ ...known, ...next }, known) &&
      isDeepStrictEqual(old ?? {}, disruptedPods ?? {})
    ) {
      return { afterMs: plan.afterMs };
    }
    // By version: an eviction granted meanwhile has taken one from what is allowed.
    const status = { ...budget.status, ...next, disruptedPods };
    budgets.absorb(await client.updateStatus(kinds.PodDisruptionBudget, { ...budget, status }));
    return { afterMs: plan.afterMs };
  }

  /** The sum of what the controllers of these pods want; undefined when that cannot be known. */
  async function wantedBy(namespace: string | undefined, selected: Pod[]): Promise<number | undefined> {
    const owners = new Map<string, OwnerReference>();
    for (const pod of selected) {
      const owner = controllerOf(pod);
      if (!owner) return undefined;
      owners.set(owner.uid, owner);
    }
    let total = 0;
    for (const owner of owners.values()) {
      const wanted = await scaleOf(namespace, owner);
      if (wanted === undefined) return undefined;
      total += wanted;
    }
    return owners.size > 0 ? total : undefined;
  }

  async function scaleOf(namespace: string | undefined, owner: OwnerReference): Promise<number | undefined> {
    if (owner.kind === 'ReplicaSet') {
      const set = caches.replicaSets.get(namespace, owner.name);
      const above = set && controllerOf(set);
      if (above?.kind === 'Deployment')
        return caches.deployments.get(namespace, above.name)?.spec.replicas ?? 1;
      return set?.spec.replicas ?? 1;
    }
    const kind = await discovery.find(owner.apiVersion, owner.kind);
    if (!kind?.subresources.includes('scale')) return undefined;
    try {
      const path = objectPath(kind, { namespace, name: owner.name }, 'scale');
      const scale = await client.json<{ spec?: { replicas?: number } }>({
        path,
        doing: `reading the scale of ${owner.name}`,
      });
      return scale.spec?.replicas;
    } catch (error) {
      log.debug({ owner: owner.name, error: String(error) }, 'the scale cannot be read');
      return undefined;
    }
  }
}
