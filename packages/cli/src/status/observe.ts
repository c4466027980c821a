/** What `pgherd status` looks at: only what any user of the cluster may read, and what the instances say themselves. */
import type { InstanceReport, LeaseRecord } from '@pgherd/api';
import { type Client, isKubeError, type Pod } from '@pgherd/kube';
import { getCluster, instancePods, isRunning, leaseRecord, openOperations } from '../clusters.ts';
import type { ClusterObject, OperationObject } from '../kinds.ts';
import { operatorAwaySince } from '../operator-lease.ts';
import { captureInPod } from '../pod-exec.ts';

/** Asks the manager on its socket in the pod, with what every instance's container has: our Node. */
const ASK = `require('node:http').get({ socketPath: '/run/pgherd/manager.sock', path: '/status' }, (answer) => {
  if (answer.statusCode !== 200) process.exitCode = 1;
  answer.pipe(answer.statusCode === 200 ? process.stdout : process.stderr);
}).on('error', (error) => { console.error(error.message); process.exitCode = 1; });`;
const REPORT_COMMAND = ['/pgherd/bin/node', '-e', ASK];
const REPORT_TIMEOUT_MS = 5_000;

export interface Answer {
  report?: InstanceReport;
  /** Why there is no report. */
  problem?: string;
  /** Whoever asks may run nothing in pods: that says nothing of the instance. */
  forbidden?: boolean;
}

export interface Observed {
  cluster: ClusterObject;
  pods: Pod[];
  lease: LeaseRecord | undefined;
  /** When the operator was last heard of, if none works now. */
  operatorAwaySince?: string;
  /** Those of this cluster that have not ended. */
  operations: OperationObject[];
  /** By instance; pods that do not run are not asked. */
  answers: Map<string, Answer>;
}

/** Reads the cluster, its pods and its Lease, and asks each running instance. */
export async function observe(client: Client, namespace: string, name: string): Promise<Observed> {
  const [cluster, pods, lease, operations, away] = await Promise.all([
    getCluster(client, namespace, name),
    instancePods(client, namespace, name),
    leaseRecord(client, namespace, name).catch(() => undefined),
    openOperations(client, namespace, name).catch(() => []),
    operatorAwaySince(client),
  ]);
  const asked = await Promise.all(
    pods.filter(isRunning).map(async (pod) => [pod.metadata.name, await ask(client, pod)] as const),
  );
  return {
    cluster,
    pods,
    lease,
    operations,
    answers: new Map(asked),
    ...(away ? { operatorAwaySince: away } : {}),
  };
}

/** Asks one instance for its report. */
export async function ask(client: Client, pod: Pod): Promise<Answer> {
  try {
    const answer = await captureInPod(client, pod, REPORT_COMMAND, { timeoutMs: REPORT_TIMEOUT_MS });
    if (answer.code !== 0) return { problem: firstLine(answer.stderr) || `exit code ${answer.code}` };
    return { report: JSON.parse(answer.stdout) as InstanceReport };
  } catch (error) {
    if (isKubeError(error, 'Forbidden')) return { forbidden: true };
    return { problem: firstLine((error as Error).message) };
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
