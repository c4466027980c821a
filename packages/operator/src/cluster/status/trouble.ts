/** Why an instance is not as it should be, in words for people. Pure. */
import { type InstanceReport, isFenced, waitsText } from '@pgherd/api';
import type { ContainerStatus, PersistentVolumeClaim, Pod } from '@pgherd/kube';
import { type Facts, type InstanceFacts, isLeader, isPodReady, isTerminating } from '../facts.ts';
import { isStuck, stuckText } from '../stuck.ts';

const STARTING = ['ContainerCreating', 'PodInitializing'];

/** What keeps a pod from running (not scheduled, no image, crashing), or undefined. */
export function podTrouble(pod: Pod | undefined): string | undefined {
  if (!pod) return 'its pod is being made';
  const { status } = pod;
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False')
    return `no node can run it: ${scheduled.message ?? scheduled.reason ?? ''}`;
  if (status?.reason === 'NodeLost') return `its node is lost`;
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  for (const container of statuses) {
    const trouble = containerTrouble(container);
    if (trouble) return trouble;
  }
  return undefined;
}

function containerTrouble({ name, state, lastState, restartCount }: ContainerStatus): string | undefined {
  const { waiting, terminated } = state ?? {};
  if (waiting?.reason && !STARTING.includes(waiting.reason)) {
    const last = lastState?.terminated?.message?.trim().split('\n').at(-1);
    const said = waiting.message ?? last;
    return `container ${name}: ${waiting.reason}${said ? `: ${said}` : ''}`;
  }
  if (terminated && terminated.exitCode !== 0)
    return `container ${name} ended with exit code ${terminated.exitCode} (restarts: ${restartCount})`;
  return undefined;
}

/** The scheduler's words for a volume that is bound to another place: those of old, and those of Kubernetes 1.36. */
const ELSEWHERE = /volume node affinity conflict|didn't match PersistentVolume's node affinity/i;

/** As podTrouble; names the volume or its claim, where that is what the pod waits for. */
export function startTrouble(
  facts: Pick<Facts, 'cluster' | 'nodes'>,
  { name: instance, pod, data, wal }: InstanceFacts,
): string | undefined {
  const trouble = podTrouble(pod);
  if (trouble && ELSEWHERE.test(trouble)) return `${trouble}; ${boundVolumes(facts, instance, [data, wal])}`;
  const claim = [data, wal].find((each) => each?.status?.phase === 'Pending');
  if (!trouble || !claim || !/PersistentVolumeClaim|storageclass/i.test(trouble)) return trouble;
  const { name, namespace } = claim.metadata;
  const ofClass = claim.spec?.storageClassName
    ? `the StorageClass ${claim.spec.storageClassName}`
    : 'the default StorageClass';
  return `${trouble}; its volume claim ${name} has got no volume from ${ofClass}: see why with kubectl describe pvc ${name} -n ${namespace}`;
}

/** What the scheduler notes on a claim whose volume is made where its pod is placed. */
const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

/** Volumes that can be used in one place only, and what to do when that place takes no pod. */
function boundVolumes(
  { cluster, nodes }: Pick<Facts, 'cluster' | 'nodes'>,
  instance: string,
  claims: (PersistentVolumeClaim | undefined)[],
): string {
  const bound = claims.filter((claim) => claim?.spec?.volumeName);
  const volumes = bound.map((claim) => `${claim?.metadata.name} (${claim?.spec.volumeName})`).join(', ');
  const node = bound.map((claim) => claim?.metadata.annotations?.[SELECTED_NODE]).find(Boolean);
  const gone = node && nodes && !nodes.has(node) ? ', which is not there any more' : '';
  const place = node ? `node ${node}, or in its zone${gone}` : 'other nodes, or another zone';
  const { name, namespace } = cluster.metadata;
  return `its volume ${volumes} can be used only on ${place}: make room there or bring it back, or have a new instance made in its place with pgherd destroy ${name} ${instance} -n ${namespace}`;
}

/** Why this instance is not healthy, or undefined where nothing is known to be wrong. */
export function instanceTrouble(facts: Facts, instance: InstanceFacts): string | undefined {
  const { pod, report, silent } = instance;
  if (pod && isTerminating(pod))
    return isStuck(facts, instance) ? stuckText(instance) : 'its pod is being stopped';
  if (isFenced(facts.cluster, instance.name)) return `it is fenced (${fenceCommand(facts, instance.name)})`;
  const trouble = startTrouble(facts, instance);
  if (trouble) return trouble;
  if (report?.error) return `${report.error.code}: ${report.error.message}`;
  if (!report) return silent ? `it does not answer: ${silent}` : 'it is starting';
  const waiting = waitingText(facts, instance);
  if (waiting) return waiting;
  return databaseTrouble(facts, instance, report) ?? unreadyText(facts, pod);
}

/** PostgreSQL is well; Kubernetes thinks otherwise. */
function unreadyText({ unready }: Facts, pod: Pod | undefined): string | undefined {
  if (isPodReady(pod)) return undefined;
  const node = pod?.spec.nodeName;
  if (node === undefined || !unready?.has(node)) return 'its pod is not ready yet';
  return `PostgreSQL is well, but node ${node} does not report to Kubernetes: see its kubelet, or bring the node back`;
}

/** How a fence is lifted, for people. */
export function fenceCommand({ cluster }: Facts, which: string): string {
  const { name, namespace } = cluster.metadata;
  return `to lift the fence: pgherd fencing off ${name} ${which} -n ${namespace}`;
}

function databaseTrouble(facts: Facts, instance: InstanceFacts, report: InstanceReport): string | undefined {
  if (report.state !== 'running') return `it is ${report.state}`;
  if (isLeader(facts, instance))
    return report.role === 'primary' ? undefined : 'it leads, but its PostgreSQL is no primary yet';
  if (report.role !== 'replica') return 'its PostgreSQL is no replica';
  if (report.streaming) return undefined;
  return report.upstream ? `it does not stream from ${report.upstream}` : 'it follows nobody';
}

function waitingText({ now }: Facts, { report }: InstanceFacts): string | undefined {
  const { waiting } = report ?? {};
  if (!waiting) return undefined;
  return isOverdue(now, waiting.deadline)
    ? `it has waited for ${waiting.what} since ${waiting.since}, past its deadline ${waiting.deadline}`
    : `it ${waitsText(waiting.what)}`;
}

export function isOverdue(now: number, deadline: string | undefined): boolean {
  return deadline !== undefined && Date.parse(deadline) < now;
}
