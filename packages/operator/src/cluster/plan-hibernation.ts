/** How a cluster goes to sleep and comes back: the primary stops last and starts first. Pure. */
import { promoteMark } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import type { Action, Intent } from './actions.ts';
import { type Facts, type InstanceFacts, isTerminating, lastLeader, startDeadline } from './facts.ts';

export interface HibernationPlan {
  actions: Action[];
  intent: Intent;
}

/**
 * Replicas first: then nobody can take over, and the primary is certain to have everything when it stops. Volumes
 * stay.
 */
export function planSleep(facts: Facts): HibernationPlan {
  const running = facts.instances.filter(({ pod }) => pod !== undefined);
  if (running.length === 0) return { actions: [], intent: { what: 'hibernated' } };
  const last = lastLeader(facts);
  const others = running.filter(({ name }) => name !== last);
  const next = others.length > 0 ? others : running;
  return {
    actions: next.filter(({ pod }) => !isTerminating(pod)).map(stop),
    intent: { what: 'hibernating', instances: running.map(({ name }) => name) },
  };
}

function stop({ name, pod }: InstanceFacts): Action {
  return {
    do: 'delete',
    kind: kinds.Pod,
    name,
    uid: pod?.metadata.uid ?? '',
    why: 'the cluster is to hibernate',
  };
}

/**
 * The last primary alone, until it serves: without synchronous replication a replica that came first could be
 * elected although it lacks what the primary wrote after the replicas had stopped. With a commit rule that forbids
 * that, a primary that does not come is not waited for beyond its deadline; nor where somebody accepts the loss.
 */
export function planWaking(facts: Facts, keep: (instance: InstanceFacts) => Action[]): HibernationPlan {
  const last = lastLeader(facts);
  const first = facts.instances.find(({ name }) => name === last);
  if (!first) return { actions: facts.instances.flatMap(keep), intent: { what: 'steady' } };
  const deadline = startDeadline(first);
  const safe = facts.lease?.rules.some(({ required }) => required) === true;
  const late = deadline !== undefined && Date.parse(deadline) < facts.now;
  const accepted = promoteMark(facts.cluster) !== undefined;
  return {
    actions: accepted || (safe && late) ? facts.instances.flatMap(keep) : keep(first),
    intent: { what: 'waking', instance: first.name, ...(deadline ? { deadline } : {}) },
  };
}
