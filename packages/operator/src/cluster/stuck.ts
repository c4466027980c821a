/** Instances whose pod was told to stop on a node that does not do it: the node is dead, or cut off. Pure. */
import { ANNOTATION_LEAVING } from '@pgherd/api';
import { type Facts, type InstanceFacts, isHealthy, isHeld, isLeader, isTerminating } from './facts.ts';

/**
 * A pod that was told to stop and has not said anything for so long will not do it soon. Nothing depends on this
 * being right: the old instance is left alone, and a new one beside it costs a copy.
 */
const SILENT_MS = 180_000;

/** When the pod was told to stop, in milliseconds since 1970; undefined where it was not, or that is not known. */
function toldToStop({ pod }: InstanceFacts): number | undefined {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod?.metadata ?? {};
  // The timestamp says when the grace period is over.
  const asked = Date.parse(deletionTimestamp ?? '') - deletionGracePeriodSeconds * 1000;
  return asked > 0 ? asked : undefined;
}

/** Its volume bears the mark that another instance has taken its place. */
export function isReplaced({ data }: InstanceFacts): boolean {
  return data?.metadata.annotations?.[ANNOTATION_LEAVING] !== undefined;
}

/**
 * Whether another instance is to take its place. Its pod is never deleted by force: it may still run, and only
 * Kubernetes knows when the node is gone. Only while another one leads and is well: that is what a new one copies.
 */
export function isStuck(facts: Facts, instance: InstanceFacts): boolean {
  if (!isTerminating(instance.pod) || instance.report) return false;
  if (isReplaced(instance)) return true;
  const asked = toldToStop(instance);
  if (asked === undefined || facts.now - asked < SILENT_MS || isHeld(facts)) return false;
  return facts.instances.some(
    (other) => other.name !== instance.name && isLeader(facts, other) && isHealthy(facts, other),
  );
}

/** A kubelet that works has ended a pod this long after its grace period. */
const OVERDUE_MS = 60_000;

/**
 * Why this pod cannot be stopped now, so far as is known: nobody can tell whether PostgreSQL still runs in it, and
 * whatever has to begin anew must not begin beside it. Undefined for a pod that can.
 */
export function unstoppable(facts: Facts, { name, pod }: InstanceFacts): string | undefined {
  if (!pod) return undefined;
  const node = pod.spec.nodeName ?? '?';
  const over = Date.parse(pod.metadata.deletionTimestamp ?? '');
  const isSilent = facts.unready?.has(node) === true;
  if (!isSilent && !(facts.now - over > OVERDUE_MS)) return undefined;
  return `${name} cannot be stopped: node ${node} does not answer. Bring the node back, or delete it from Kubernetes if it is gone for good (kubectl delete node ${node})`;
}

/** In words for people. */
export function stuckText({ pod }: InstanceFacts): string {
  const asked = pod && toldToStop({ name: '', serial: 0, pod });
  const since = asked ? ` since ${new Date(asked).toISOString().slice(0, 19)}Z` : '';
  return `its pod does not stop${since}: node ${pod?.spec.nodeName ?? '?'} does not answer. Another instance takes its place; bring the node back, or delete it from Kubernetes`;
}
