/** How a change that needs new pods reaches them: replicas first, the primary last, one at a time. Pure. */
import { kinds } from '@pgherd/kube';
import type { Action, Intent } from './actions.ts';
import {
  type Facts,
  type InstanceFacts,
  isHealthy,
  isHeld,
  isPodReady,
  isTerminating,
  leaderName,
  startDeadline,
} from './facts.ts';
import { planLowering } from './plan-lowering.ts';
import { ANNOTATION_INPUTS, podInputs } from './specs/pod.ts';

export interface RollPlan {
  actions: Action[];
  intent?: Intent;
}

/** Instances whose pod was made from another spec than the present one, or whose settings wait for a restart. */
function outdated(facts: Facts, instances: InstanceFacts[]): InstanceFacts[] {
  const desired = podInputs(facts.cluster.spec);
  return instances.filter(
    ({ pod, report }) =>
      pod &&
      !isTerminating(pod) &&
      (pod.metadata.annotations?.[ANNOTATION_INPUTS] !== desired || report?.pendingRestart === true),
  );
}

/** `busy`: something else is under way with the instances, and goes first. */
export function planRoll(facts: Facts, staying: InstanceFacts[], busy: boolean): RollPlan {
  if (isHeld(facts)) return { actions: [] };
  const old = outdated(facts, staying);
  if (old.length === 0) return lower(facts, staying, busy);
  const instances = old.map(({ name }) => name);
  const rolling: Intent = { what: 'rolling', instances };
  if (busy) return { actions: [], intent: { ...rolling, waitsFor: { what: 'other changes to finish' } } };
  const next = nextToReplace(facts, staying, old);
  if (next.length > 0) return { actions: next.map(replace), intent: rolling };
  const ill = staying.find((instance) => !isHealthy(facts, instance));
  const deadline = ill && startDeadline(ill);
  const waitsFor = { what: `${ill?.name} to be healthy`, ...(deadline ? { deadline } : {}) };
  return { actions: [], intent: { ...rolling, waitsFor } };
}

/** Once all else is in force. */
function lower(facts: Facts, staying: InstanceFacts[], busy: boolean): RollPlan {
  const { actions, intent, replica } = planLowering(facts, staying, busy);
  return { actions: replica ? [replace(replica)] : actions, ...(intent ? { intent } : {}) };
}

function nextToReplace(facts: Facts, staying: InstanceFacts[], old: InstanceFacts[]): InstanceFacts[] {
  // These serve nobody and may never start as they are (an image that does not exist): no need to wait.
  const stuck = old.filter(({ pod }) => (pod?.status?.phase ?? 'Pending') === 'Pending');
  if (stuck.length > 0) return stuck;
  const ill = staying.filter((instance) => !isHealthy(facts, instance));
  if (ill.length > 0) {
    // What is ill may be so because of what the change mends; anything else that is ill has to recover first.
    const mendable = ill.every((instance) => old.includes(instance) && !isPodReady(instance.pod));
    return mendable ? replicasFirst(facts, ill).slice(0, 1) : [];
  }
  return replicasFirst(facts, old).slice(0, 1);
}

function replicasFirst(facts: Facts, instances: InstanceFacts[]): InstanceFacts[] {
  const leader = leaderName(facts);
  const replicas = instances.filter(({ name }) => name !== leader).reverse();
  return [...replicas, ...instances.filter(({ name }) => name === leader)];
}

/** Deleting the pod is enough: it is made again from the present spec, and a primary hands over first. */
function replace({ name, pod, report }: InstanceFacts): Action {
  return {
    do: 'delete',
    kind: kinds.Pod,
    name,
    uid: pod?.metadata.uid ?? '',
    why:
      report?.pendingRestart || report?.raisedSettings
        ? 'changed settings need a restart'
        : 'the spec of its pod changed',
  };
}
