import type { Container, Pod } from '@pgherd/kube';
import type { ContainerRecord } from '../shim/protocol.ts';
import type { Action, PodFacts } from './types.ts';

/** What to do next about a pod: as much as can be done now. Pure. */
export function planPod(facts: PodFacts): Action[] {
  const { pod, sandbox } = facts;
  if (pod.metadata.deletionTimestamp) return planEnd(facts, { do: 'finish' });
  if (isDone(facts)) return sandbox.state === 'alive' ? planEnd(facts, { do: 'end' }) : [];
  if (facts.podProblem) return [{ do: 'prepare' }];
  if (sandbox.state !== 'alive') return [{ do: 'prepare' }, { do: 'sandbox' }];
  const { actions, initialised } = planInit(facts);
  if (initialised) {
    for (const container of pod.spec.containers) actions.push(...planContainer(facts, container));
  }
  return actions;
}

/** The last run of a container. */
function lastRun(facts: PodFacts, name: string): ContainerRecord | undefined {
  return facts.runs.findLast((run) => run.name === name);
}

/** The last run in the present sandbox. */
function presentRun(facts: PodFacts, name: string): ContainerRecord | undefined {
  const run = lastRun(facts, name);
  if (!run || facts.sandbox.state !== 'alive') return undefined;
  return run.startedAt >= facts.sandbox.createdAt ? run : undefined;
}

export function isRunning(run: ContainerRecord | undefined): boolean {
  return run !== undefined && run.finishedAt === undefined;
}

const policyOf = (pod: Pod): string => pod.spec.restartPolicy ?? 'Always';

/** A sidecar: an init container that stays. */
export const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always';

/** A pod that has ended for good, by its restart policy. */
export function isDone(facts: PodFacts): boolean {
  const { pod } = facts;
  const { phase } = pod.status ?? {};
  if (phase === 'Succeeded' || phase === 'Failed') return true;
  const policy = policyOf(pod);
  if (policy === 'Always') return false;
  const failedInit = (pod.spec.initContainers ?? []).some((container) => {
    const run = lastRun(facts, container.name);
    return policy === 'Never' && !isSidecar(container) && !!run?.finishedAt && run.exitCode !== 0;
  });
  if (failedInit) return true;
  return pod.spec.containers.every(({ name }) => {
    const run = lastRun(facts, name);
    return !!run?.finishedAt && (policy === 'Never' || run.exitCode === 0);
  });
}

/** Containers stopped first with grace, then by force, then what comes last. */
function planEnd(facts: PodFacts, last: Action): Action[] {
  const running = facts.runs.filter(isRunning).map(({ name }) => name);
  if (facts.sandbox.state !== 'alive' || running.length === 0) return [last];
  if (!facts.stopping) return [{ do: 'stop' }];
  if (facts.now < facts.stopping.killAt) return [{ do: 'wait', until: facts.stopping.killAt }];
  return running.map((container) => ({ do: 'kill', container }));
}

function planInit(facts: PodFacts): { actions: Action[]; initialised: boolean } {
  const { pod } = facts;
  // Main containers that ran in this sandbox: initialisation is behind us, even if its records are gone.
  const begun = pod.spec.containers.some(({ name }) => presentRun(facts, name));
  const actions: Action[] = [];
  for (const container of pod.spec.initContainers ?? []) {
    if (isSidecar(container)) {
      actions.push(...planContainer(facts, container));
      const run = presentRun(facts, container.name);
      if (!begun && !(isRunning(run) && facts.probes[container.name]?.started !== false))
        return { actions, initialised: false };
      continue;
    }
    if (begun) continue;
    const run = presentRun(facts, container.name);
    if (run?.finishedAt && run.exitCode === 0) continue;
    if (!isRunning(run)) actions.push(...startAction(facts, container, run));
    return { actions, initialised: false };
  }
  return { actions, initialised: true };
}

function planContainer(facts: PodFacts, container: Container): Action[] {
  const { name } = container;
  const run = presentRun(facts, name);
  if (isRunning(run)) return planRunning(facts, name);
  const before = run ?? lastRun(facts, name);
  if (before && !isSidecar(container)) {
    const policy = policyOf(facts.pod);
    if (policy === 'Never') return [];
    if (policy === 'OnFailure' && before.exitCode === 0) return [];
  }
  return startAction(facts, container, run);
}

function planRunning(facts: PodFacts, name: string): Action[] {
  const stopping = facts.stoppingContainers[name];
  if (stopping) {
    return facts.now < stopping.killAt
      ? [{ do: 'wait', until: stopping.killAt }]
      : [{ do: 'kill', container: name }];
  }
  const why = facts.probes[name]?.failed;
  return why === undefined ? [] : [{ do: 'stopContainer', container: name, why }];
}

function startAction(facts: PodFacts, container: Container, run: ContainerRecord | undefined): Action[] {
  const { name } = container;
  const until = facts.restUntil[name] ?? 0;
  // Of what crashed, only what crashed in this sandbox rests: a new one means that the node went away under it.
  if ((run || facts.problems[name]) && facts.now < until) return [{ do: 'wait', until }];
  const before = lastRun(facts, name);
  const init = facts.pod.spec.initContainers?.includes(container) ?? false;
  return [{ do: 'start', container: name, attempt: before ? before.attempt + 1 : 0, init }];
}
