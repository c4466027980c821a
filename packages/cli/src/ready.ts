/** Waiting until a cluster is well, with what it does meanwhile. */
import type { Client, Pod } from '@pgherd/kube';
import { instancePods, isReady, isRunning } from './clusters.ts';
import { ClusterKind, type ClusterObject } from './kinds.ts';
import { waitFor } from './wait.ts';

export interface ReadyOptions {
  timeoutMs: number;
  everyMs?: number;
  signal?: AbortSignal;
  onProgress?: (text: string) => void;
}

/** Waits for phase Ready of the generation that is there now; CliError `timeout` says what was last seen. */
export async function waitUntilReady(
  client: Client,
  namespace: string,
  name: string,
  options: ReadyOptions,
): Promise<ClusterObject> {
  let seen = 'the operator has not taken it up yet';
  return waitFor(
    async () => {
      const [cluster, pods] = await Promise.all([
        client.get(ClusterKind, { namespace, name }),
        instancePods(client, namespace, name),
      ]);
      seen = progressLine(cluster, pods);
      options.onProgress?.(seen);
      return isUpToDate(cluster) && cluster.status?.phase === 'Ready' ? cluster : undefined;
    },
    {
      timeoutMs: options.timeoutMs,
      everyMs: options.everyMs ?? 200,
      signal: options.signal,
      describe: () => seen,
      hint: `See \`pgherd status ${name} -n ${namespace}\` and \`pgherd logs ${name} -n ${namespace}\`.`,
    },
  );
}

function isUpToDate(cluster: ClusterObject): boolean {
  return (cluster.status?.observedGeneration ?? 0) >= (cluster.metadata.generation ?? 0);
}

/** One line: the phase, and each instance with what it is doing. */
function progressLine(cluster: ClusterObject, pods: Pod[]): string {
  const phase = cluster.status?.phase ?? 'Creating';
  const each = pods.map((pod) => `${pod.metadata.name} ${stateOf(cluster, pod)}`);
  return [phase, ...(each.length > 0 ? [each.join(', ')] : [])].join(': ');
}

function stateOf(cluster: ClusterObject, pod: Pod): string {
  if (isReady(pod)) return 'ready';
  if (!pod.spec?.nodeName) return 'waits for a node';
  if (!isRunning(pod)) {
    const all = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
    const reason = all.find((c) => c.state?.waiting?.reason)?.state?.waiting?.reason;
    return reason && reason !== 'PodInitializing' ? reason : 'starts';
  }
  return cluster.status?.instancesReportedState?.[pod.metadata.name]?.state ?? 'starts';
}
