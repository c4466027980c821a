/** From what was observed to what a person needs to see. Pure. */
import {
  type ClusterRecovered,
  type InstanceReport,
  LABEL_ROLE,
  type ReplicationRow,
  waitsText,
  walBytesBetween,
} from '@pgherd/api';
import type { Pod } from '@pgherd/kube';
import { compareNames, isReady, primaryName } from '../clusters.ts';
import type { OperationObject } from '../kinds.ts';
import { cannotLead } from './cannot-lead.ts';
import type { Observed } from './observe.ts';

export interface InstanceView {
  name: string;
  role: 'primary' | 'replica' | 'none';
  node?: string;
  ready: boolean;
  /** What it is doing: `running`, `streaming`, `copying`, or what its pod waits for. */
  state: string;
  timeline?: number;
  /** Last position written (primary) or replayed (replica). */
  lsn?: string;
  /** Bytes of WAL between the primary and what this replica has flushed. */
  lagBytes?: number;
  /** How the primary counts it: sync, potential, quorum, async. */
  sync?: string;
  /** Why it cannot be made the primary just now, if it is none. */
  cannotLead?: string;
  restarts: number;
  address?: string;
}

/** An Operation that has not ended. */
export interface OperationView {
  name: string;
  type: string;
  phase: string;
  /** The step that is under way, and since when (RFC 3339). */
  step?: string;
  since?: string;
  /** What it does or waits for. */
  waitsFor: string;
}

export interface ClusterView {
  name: string;
  namespace: string;
  /** `Unknown` while no operator works: the last one it gave may be long past. */
  phase: string;
  reason?: string;
  primary?: string;
  timeline?: number;
  epoch?: number;
  systemID?: string;
  postgresVersion?: string;
  image?: string;
  wanted: number;
  ready: number;
  /** What it was restored to, and where that ended, in words. */
  restored?: string;
  /** synchronous_standby_names in force on the primary; empty: none. Missing where the primary was not heard. */
  syncNames?: string;
  /** What is being done to it, or waits for its turn. */
  operations: OperationView[];
  instances: InstanceView[];
  /** Each thing that is waited for or wrong, with whose it is. */
  waits: string[];
}

function restoredText({ target, time, lsn, timeline }: ClusterRecovered): string {
  const reached = time ? `last transaction of ${time}` : 'no transaction after the backup';
  return `restored to ${target ?? 'the latest point'}: ${reached}${lsn ? `, LSN ${lsn}` : ''}, timeline ${timeline}`;
}

/** Makes the view of a cluster. */
export function viewOf(observed: Observed, now: number = Date.now()): ClusterView {
  const { cluster, lease } = observed;
  const primary = primaryName(cluster, lease);
  const report = primary ? observed.answers.get(primary)?.report : undefined;
  const known = new Set([
    ...(cluster.status?.instanceNames ?? []),
    ...observed.pods.map((p) => p.metadata.name),
  ]);
  const instances = [...known]
    .sort(compareNames)
    .map((name) => viewOfInstance(name, observed, primary, report));
  const status = cluster.status;
  return {
    name: cluster.metadata.name,
    namespace: cluster.metadata.namespace ?? 'default',
    ...phaseOf(observed),
    primary,
    timeline: report?.timeline ?? status?.timelineID,
    epoch: lease?.epoch,
    systemID: status?.systemID ?? lease?.systemID,
    postgresVersion: report?.postgresVersion,
    image: status?.image,
    ...(status?.recovered ? { restored: restoredText(status.recovered) } : {}),
    wanted: cluster.spec.instances ?? 3,
    ready: instances.filter((each) => each.ready).length,
    ...(report ? { syncNames: report.syncNames ?? '' } : {}),
    operations: observed.operations.map(operationView),
    instances,
    waits: waitsOf(observed, now),
  };
}

/** The operator's word on the cluster; of an operator that is away, as what it is: an old one. */
function phaseOf({
  cluster: { status },
  operatorAwaySince,
}: Observed): Pick<ClusterView, 'phase' | 'reason'> {
  const { phase = 'Unknown', phaseReason } = status ?? {};
  if (!operatorAwaySince) return { phase, reason: phaseReason || undefined };
  const last = phaseReason ? `${phase}: ${phaseReason}` : phase;
  return {
    phase: 'Unknown',
    reason: `no operator works; when it was last heard of, at ${operatorAwaySince}, this was ${last}. The table below is asked of the instances now`,
  };
}

function operationView({ metadata, spec, status }: OperationObject): OperationView {
  const step = status?.steps?.find(({ state }) => state === 'Running');
  return {
    name: metadata.name,
    type: spec.type,
    phase: status?.phase ?? 'Pending',
    step: step?.name,
    since: step?.startedAt ?? status?.startedAt ?? metadata.creationTimestamp,
    waitsFor: step?.message ?? status?.message ?? 'the operator has not taken it up yet',
  };
}

function viewOfInstance(
  name: string,
  observed: Observed,
  primary: string | undefined,
  primaryReport: InstanceReport | undefined,
): InstanceView {
  const pod = observed.pods.find((each) => each.metadata.name === name);
  const { report, problem, forbidden } = observed.answers.get(name) ?? {};
  const row = primaryReport?.replication.find(
    (each) => each.name === name || each.name === `${name}.joining`,
  );
  const role = roleOf(name, report, primary, forbidden ? pod : undefined);
  // While nobody serves, by what the last one said that it had.
  const ahead = primaryReport?.currentLsn ?? observed.lease?.position;
  const view: InstanceView = {
    name,
    role,
    node: pod?.spec?.nodeName,
    // What its node said last may be old: who does not answer is not ready.
    ready: pod !== undefined && isReady(pod) && !problem,
    state: problem && pod && !pod.metadata.deletionTimestamp ? 'no answer' : stateOf(pod, report, row, role),
    timeline: report?.timeline,
    lsn: role === 'primary' ? report?.currentLsn : (report?.replayedLsn ?? report?.receivedLsn),
    lagBytes: role === 'primary' ? undefined : lag(ahead, row?.flushLsn ?? report?.receivedLsn),
    sync: role === 'primary' ? undefined : row?.syncState,
    restarts: pod?.status?.containerStatuses?.[0]?.restartCount ?? 0,
    address: pod?.status?.podIP,
  };
  const why = name === primary ? undefined : cannotLead(observed, view);
  return why ? { ...view, cannotLead: why } : view;
}

function roleOf(
  name: string,
  report: InstanceReport | undefined,
  primary: string | undefined,
  labelled: Pod | undefined,
): InstanceView['role'] {
  if (name === primary) return 'primary';
  if (report) return report.role === 'primary' ? 'none' : report.role;
  return labelled?.metadata.labels?.[LABEL_ROLE] === 'replica' ? 'replica' : 'none';
}

function stateOf(
  pod: Pod | undefined,
  report: InstanceReport | undefined,
  row: ReplicationRow | undefined,
  role: InstanceView['role'],
): string {
  if (!pod) return 'no pod';
  if (pod.metadata.deletionTimestamp) return 'stopping';
  const waiting = waitingReason(pod);
  if (!report) return waiting ?? pod.status?.phase?.toLowerCase() ?? 'unknown';
  if (role === 'replica' && report.state === 'running') {
    return report.streaming || row?.state === 'streaming' ? 'streaming' : 'not streaming';
  }
  return report.state;
}

function waitingReason(pod: Pod): string | undefined {
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const reason = all.find((each) => each.state?.waiting)?.state?.waiting?.reason;
  if (reason && reason !== 'PodInitializing') return reason;
  return pod.status?.conditions?.some((c) => c.type === 'PodScheduled' && c.status === 'False')
    ? 'not scheduled'
    : reason;
}

/** Bytes from `behind` to `ahead`; undefined when one is not known, never negative. */
export function lag(ahead: string | undefined, behind: string | undefined): number | undefined {
  const difference = walBytesBetween(ahead, behind);
  return difference === undefined ? undefined : Number(difference);
}

function waitsOf(observed: Observed, now: number): string[] {
  const waits: string[] = [];
  if ([...observed.answers.values()].some(({ forbidden }) => forbidden)) waits.push(FORBIDDEN);
  for (const pod of observed.pods) {
    const name = pod.metadata.name;
    const answer = observed.answers.get(name);
    waits.push(...podWaits(pod).map((text) => `${name}: ${text}`));
    if (answer?.problem) waits.push(`${name}: does not answer: ${answer.problem}`);
    const waiting = answer?.report?.waiting;
    if (waiting) waits.push(`${name}: ${waitsText(waiting.what)}${times(waiting, now)}`);
    const error = answer?.report?.error;
    if (error) waits.push(`${name}: ${error.message} (${error.code})`);
    if (answer?.report?.pendingRestart) waits.push(`${name}: a changed setting needs a restart`);
  }
  return waits;
}

const FORBIDDEN =
  'you may run no commands in the pods (pods/exec), so what only the instances know is not shown: positions, lag, what they wait for';

function times(waiting: { since: string; deadline?: string }, now: number): string {
  const since = Math.max(0, Math.round((now - Date.parse(waiting.since)) / 1000));
  if (!waiting.deadline) return ` (since ${since} s)`;
  const left = Math.round((Date.parse(waiting.deadline) - now) / 1000);
  return left >= 0
    ? ` (since ${since} s, ${left} s left)`
    : ` (since ${since} s, ${-left} s past its deadline)`;
}

function podWaits(pod: Pod): string[] {
  const texts: string[] = [];
  for (const condition of pod.status?.conditions ?? []) {
    if (condition.type === 'PodScheduled' && condition.status === 'False')
      texts.push(condition.message ?? 'not scheduled');
  }
  const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const container of all) {
    const waiting = container.state?.waiting;
    if (waiting?.message) texts.push(`${waiting.reason}: ${waiting.message}`);
  }
  return texts;
}
