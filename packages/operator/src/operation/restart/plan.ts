/** In which order pods are replaced for a restart: replicas first, the primary last, one at a time. Pure. */
import { kinds } from '@pgherd/kube';
import { type Facts, type InstanceFacts, isHealthy, isTerminating, leaderName } from '../../cluster/facts.ts';
import { instanceTrouble } from '../../cluster/status/trouble.ts';
import type { BaseFacts, Outcome } from '../handler.ts';

export const STEPS = ['restart the replicas', 'restart the primary'] as const;
const [REPLICAS, PRIMARY] = STEPS;

/** The next step of a restart: a pod that is deleted is made again, and a primary hands over first. */
export function planRestart(facts: BaseFacts): Outcome {
  const before = facts.notes.pods;
  return before === undefined ? begin(facts) : goOn(facts, JSON.parse(before) as Record<string, string>);
}

function begin({ cluster, operation }: BaseFacts): Outcome {
  const { instance } = operation.spec.restart ?? {};
  const wanted = cluster.instances.filter(({ name, pod }) => pod && (instance ?? name) === name);
  if (wanted.length === 0) {
    const names = cluster.instances.map(({ name }) => name).join(', ') || 'none';
    const what = instance ? `there is no instance ${instance} that runs` : 'no instance runs';
    return { next: 'fail', reason: 'InstanceUnknown', message: `${what}; there are: ${names}` };
  }
  const pods = Object.fromEntries(wanted.map(({ name, pod }) => [name, pod?.metadata.uid ?? '']));
  return {
    next: 'step',
    step: REPLICAS,
    message: `${wanted.map(({ name }) => name).join(', ')} to be restarted`,
    notes: { pods: JSON.stringify(pods) },
    afterMs: 0,
  };
}

function goOn({ cluster, operation, notes }: BaseFacts, pods: Record<string, string>): Outcome {
  const known = cluster.instances.filter(({ name }) => pods[name] !== undefined);
  const old = known.filter(({ name, pod }) => pod?.metadata.uid === pods[name]);
  const one = operation.spec.restart?.instance !== undefined;
  const leader = leaderName(cluster);
  // The last one is the primary, also while it stops being that.
  const step = notes.primary === undefined ? REPLICAS : PRIMARY;
  const waitsFor = unfinished(cluster, known, old, one);
  if (waitsFor)
    return {
      next: 'step',
      step,
      message: `waits for ${waitsFor.name}: ${instanceTrouble(cluster, waitsFor) ?? 'it is starting'}`,
    };
  const next = [...old].reverse().find(({ name }) => name !== leader) ?? old[0];
  if (next)
    return next.name === leader
      ? { ...replace(next, PRIMARY), notes: { primary: next.name } }
      : replace(next, step);
  const names = known.map(({ name }) => name).join(', ');
  return {
    next: 'succeed',
    message: `restarted: ${names}; ${leader} is the primary`,
    result: { restarted: names, ...(leader ? { primary: leader } : {}) },
  };
}

/** Whoever must be well before the next one is stopped. */
function unfinished(
  cluster: Facts,
  known: InstanceFacts[],
  old: InstanceFacts[],
  one: boolean,
): InstanceFacts | undefined {
  const ill = (instance: InstanceFacts) => !isHealthy(cluster, instance);
  const stopping = known.find(({ pod }) => isTerminating(pod));
  if (stopping) return stopping;
  // A single instance that is asked for by name may be ill, and so may its siblings: that may be why.
  if (one) return known.find((instance) => !old.includes(instance) && ill(instance));
  return cluster.instances.find(ill);
}

function replace({ name, pod }: InstanceFacts, step: string): Outcome {
  return {
    next: 'step',
    step,
    message: `${name} is being restarted`,
    actions: [
      { do: 'delete', kind: kinds.Pod, name, uid: pod?.metadata.uid ?? '', why: 'a restart was asked for' },
    ],
  };
}
