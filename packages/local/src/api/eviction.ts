/** The `/eviction` subresource: a delete that asks the disruption budgets first. */
import { fromSelectorObject, matchesLabels } from './selectors.ts';
import { ApiError, tooMany } from './status.ts';
import type { Store } from './store.ts';
import { isObject, type KubeObject, type Obj, objectAt, objectsAt } from './types.ts';

const BUDGETS = 'poddisruptionbudgets.policy';

/** Throws 429 when a budget does not allow to evict the pod; otherwise takes one disruption from its budget. */
export function takeDisruption(store: Store, pod: KubeObject, nowMs: number, dryRun: boolean): void {
  const phase = objectAt(pod, 'status').phase;
  // Finished and not yet started pods disturb nobody.
  if (phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending' || pod.metadata.deletionTimestamp)
    return;
  const budgets = store.list(BUDGETS, pod.metadata.namespace).filter((budget) => {
    const selector = objectAt(budget, 'spec').selector;
    return isObject(selector) && matchesLabels(pod.metadata.labels, fromSelectorObject(selector));
  });
  if (budgets.length > 1) {
    throw new ApiError(
      500,
      'InternalError',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  }
  const [budget] = budgets;
  if (budget) take(store, budget, pod, nowMs, dryRun);
}

function isReady(pod: KubeObject): boolean {
  return objectsAt(pod, 'status', 'conditions').some((one) => one.type === 'Ready' && one.status === 'True');
}

function take(store: Store, budget: KubeObject, pod: KubeObject, nowMs: number, dryRun: boolean): void {
  const status = objectAt(budget, 'status');
  const name = budget.metadata.name;
  const healthy = Number(status.currentHealthy ?? 0);
  const desired = Number(status.desiredHealthy ?? 0);
  const { unhealthyPodEvictionPolicy } = objectAt(budget, 'spec');
  if (!isReady(pod) && unhealthyPodEvictionPolicy === 'AlwaysAllow') return;
  // A pod that is not ready may go while the budget is met without it.
  if (!isReady(pod) && healthy >= desired && desired > 0) return;
  if (Number(status.observedGeneration ?? 0) < Number(budget.metadata.generation ?? 0)) {
    throw refuse(`The disruption budget ${name} is still being processed by the server.`);
  }
  const allowed = Number(status.disruptionsAllowed ?? 0);
  if (allowed <= 0) {
    throw refuse(`The disruption budget ${name} needs ${desired} healthy pods and has ${healthy} currently`);
  }
  if (dryRun) return;
  const disruptedPods: Obj = {
    ...objectAt(status, 'disruptedPods'),
    [pod.metadata.name]: `${new Date(nowMs).toISOString().slice(0, 19)}Z`,
  };
  store.update(BUDGETS, { ...budget, status: { ...status, disruptionsAllowed: allowed - 1, disruptedPods } });
}

function refuse(message: string): ApiError {
  return tooMany("Cannot evict pod as it would violate the pod's disruption budget.", 10, [
    { reason: 'DisruptionBudget', message },
  ]);
}
