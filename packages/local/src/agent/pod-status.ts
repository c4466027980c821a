import type { Condition, Container, ContainerState, ContainerStatus, Pod, PodStatus } from '@pgherd/kube';
import type { ContainerRecord } from '../shim/protocol.ts';
import { isDone, isRunning, isSidecar } from './plan.ts';
import type { PodFacts } from './types.ts';

const CONTAINER_ID_PREFIX = 'pgherd://';

/** The status a pod must show, from all that is known. Pure; times in it change only with what they are of. */
export function podStatus(facts: PodFacts): PodStatus {
  const { pod } = facts;
  const init = (pod.spec.initContainers ?? []).map((container) => containerStatus(facts, container, true));
  const main = pod.spec.containers.map((container) => containerStatus(facts, container, false));
  const phase = phaseOf(facts, init, main);
  const alive = facts.sandbox.state === 'alive' ? facts.sandbox : undefined;
  const status: PodStatus = {
    phase,
    conditions: conditions(facts, phase, init, main),
    hostIP: facts.nodeIP,
    startTime: pod.status?.startTime ?? seconds(new Date(facts.now).toISOString()),
    containerStatuses: main,
    qosClass: pod.status?.qosClass ?? 'BestEffort',
  };
  if (init.length > 0) status.initContainerStatuses = init;
  // The address of a pod that has ended stays visible, as the kubelet leaves it.
  const ip = alive?.ip ?? (phase === 'Pending' ? undefined : pod.status?.podIP);
  if (ip) {
    status.podIP = ip;
    status.podIPs = [{ ip }];
  }
  if (facts.podProblem && phase === 'Pending') {
    status.reason = facts.podProblem.reason;
    status.message = facts.podProblem.message;
  }
  return status;
}

function containerStatus(facts: PodFacts, container: Container, init: boolean): ContainerStatus {
  const { name } = container;
  const runs = facts.runs.filter((run) => run.name === name);
  const run = runs.at(-1);
  const previous = runs.at(-2);
  const running = isRunning(run);
  const probe = facts.probes[name];
  const image = container.image ?? '';
  const status: ContainerStatus = {
    name,
    image,
    imageID: run ? `pgherd-local://${image}` : '',
    restartCount: run?.attempt ?? 0,
    ready: false,
    started: false,
    state: {},
    lastState: {},
  };
  if (run) status.containerID = CONTAINER_ID_PREFIX + run.id;
  if (running) {
    status.state = { running: { startedAt: seconds(run!.startedAt) } };
    status.started = probe?.started ?? true;
    status.ready = status.started && (probe?.ready ?? true) && !(init && !isSidecar(container));
  } else {
    status.state = restingState(facts, container, run, init);
    if (run && status.state.terminated && init && !isSidecar(container)) status.ready = run.exitCode === 0;
  }
  const last = status.state?.waiting ? run : previous;
  if (last?.finishedAt) status.lastState = { terminated: terminated(last) };
  return status;
}

/** The state of a container that does not run. */
function restingState(
  facts: PodFacts,
  container: Container,
  run: ContainerRecord | undefined,
  init: boolean,
): ContainerState {
  const { name } = container;
  const problem = facts.problems[name];
  const comesAgain =
    !facts.pod.metadata.deletionTimestamp && !isDone(facts) && willRestart(facts, container, run, init);
  if (run && !comesAgain) return { terminated: terminated(run) };
  if (problem) return { waiting: { ...problem } };
  if (run && (facts.restUntil[name] ?? 0) > facts.now) {
    const rest = Math.round(((facts.restUntil[name] ?? 0) - Date.parse(run.finishedAt!)) / 1000);
    const message = `back-off ${rest}s restarting failed container=${name} pod=${facts.pod.metadata.name}_${facts.pod.metadata.namespace}(${facts.pod.metadata.uid})`;
    return { waiting: { reason: 'CrashLoopBackOff', message } };
  }
  // A run that has just ended, in the moment before the next: shown as what it is.
  if (run && facts.sandbox.state === 'alive') return { terminated: terminated(run) };
  const waitsForInit = (facts.pod.spec.initContainers?.length ?? 0) > 0;
  return { waiting: { reason: waitsForInit ? 'PodInitializing' : 'ContainerCreating' } };
}

function willRestart(
  facts: PodFacts,
  container: Container,
  run: ContainerRecord | undefined,
  init: boolean,
): boolean {
  if (!run) return true;
  const policy = facts.pod.spec.restartPolicy ?? 'Always';
  if (init && !isSidecar(container)) {
    const again = facts.sandbox.state !== 'alive' || run.startedAt < facts.sandbox.createdAt;
    return again || (run.exitCode !== 0 && policy !== 'Never');
  }
  return policy === 'Always' || isSidecar(container) || (policy === 'OnFailure' && run.exitCode !== 0);
}

function endReason({ error, exitCode, oomKilled }: ContainerRecord): string {
  if (error) return 'StartError';
  // A container may outlive the death of one of its processes.
  if (oomKilled && exitCode === 137) return 'OOMKilled';
  return exitCode === 0 ? 'Completed' : 'Error';
}

function terminated(run: ContainerRecord): NonNullable<ContainerState['terminated']> {
  return {
    exitCode: run.exitCode ?? 137,
    reason: endReason(run),
    ...(run.error ? { message: run.error } : {}),
    startedAt: seconds(run.startedAt),
    finishedAt: seconds(run.finishedAt!),
    containerID: CONTAINER_ID_PREFIX + run.id,
  };
}

function phaseOf(facts: PodFacts, init: ContainerStatus[], main: ContainerStatus[]): string {
  const { pod } = facts;
  const before = pod.status?.phase;
  if (before === 'Succeeded' || before === 'Failed') return before;
  const policy = pod.spec.restartPolicy ?? 'Always';
  if (policy !== 'Always' && isDone(facts)) {
    const failed = [...init, ...main].some(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0);
    return failed ? 'Failed' : 'Succeeded';
  }
  // A pod that has run does not go back, whatever its containers do.
  if (before === 'Running') return 'Running';
  if (!isInitialised(facts, init)) return 'Pending';
  const begun = main.every(
    ({ state, lastState }) => state?.running || state?.terminated || lastState?.terminated,
  );
  return begun ? 'Running' : 'Pending';
}

function isInitialised(facts: PodFacts, init: ContainerStatus[]): boolean {
  const containers = facts.pod.spec.initContainers ?? [];
  if (
    facts.pod.spec.containers.some(({ name }) =>
      facts.runs.some((run) => run.name === name && isPresent(facts, run)),
    )
  )
    return true;
  return containers.every((container, index) =>
    isSidecar(container) ? init[index]?.started === true : init[index]?.state?.terminated?.exitCode === 0,
  );
}

function isPresent(facts: PodFacts, run: ContainerRecord): boolean {
  return facts.sandbox.state === 'alive' && run.startedAt >= facts.sandbox.createdAt;
}

function conditions(
  facts: PodFacts,
  phase: string,
  init: ContainerStatus[],
  main: ContainerStatus[],
): Condition[] {
  const { pod } = facts;
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const initialised = isInitialised(facts, init) || phase === 'Succeeded';
  const unready = main.filter(({ ready }) => !ready).map(({ name }) => name);
  const sidecarsReady = (pod.spec.initContainers ?? []).every(
    (container, index) => !isSidecar(container) || init[index]?.ready,
  );
  const containersReady = !ended && initialised && unready.length === 0 && sidecarsReady;
  const gates = (pod.spec as { readinessGates?: { conditionType: string }[] }).readinessGates ?? [];
  const closed = gates.filter(
    ({ conditionType }) =>
      pod.status?.conditions?.find(({ type }) => type === conditionType)?.status !== 'True',
  );
  const why = ended
    ? { reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' }
    : containersReady
      ? {}
      : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const gateWhy =
    containersReady && closed.length > 0
      ? {
          reason: 'ReadinessGatesNotReady',
          message: `waiting for ${closed.map((gate) => gate.conditionType).join(', ')}`,
        }
      : why;
  return [
    condition(facts, 'PodReadyToStartContainers', facts.sandbox.state === 'alive', {}),
    condition(facts, 'Initialized', initialised, initialised ? {} : { reason: 'ContainersNotInitialized' }),
    condition(facts, 'Ready', containersReady && closed.length === 0, gateWhy),
    condition(facts, 'ContainersReady', containersReady, why),
  ];
}

function condition(
  { pod, now }: PodFacts,
  type: string,
  holds: boolean,
  why: { reason?: string; message?: string },
): Condition {
  const status = holds ? 'True' : 'False';
  const before = pod.status?.conditions?.find((candidate) => candidate.type === type);
  const lastTransitionTime =
    before?.status === status && before.lastTransitionTime
      ? before.lastTransitionTime
      : seconds(new Date(now).toISOString());
  return { type, status, lastProbeTime: null, lastTransitionTime, ...why };
}

/** The API keeps times in whole seconds. */
function seconds(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

/** True when what the agent owns of a status differs from what the API has. */
export function differs(pod: Pod, status: PodStatus): boolean {
  const now = pod.status ?? {};
  const { conditions: wanted = [], ...rest } = status;
  for (const [key, value] of Object.entries(rest)) {
    if (!same((now as Record<string, unknown>)[key], value)) return true;
  }
  return wanted.some((condition) => {
    const found = now.conditions?.find(({ type }) => type === condition.type);
    if (!found) return true;
    return (
      found.status !== condition.status ||
      (found.reason ?? '') !== (condition.reason ?? '') ||
      (found.message ?? '') !== (condition.message ?? '')
    );
  });
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined && !isEmpty(inner))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

function isEmpty(value: unknown): boolean {
  return value !== null && typeof value === 'object' && Object.keys(value).length === 0;
}
