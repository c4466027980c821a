/** What the pods of the cluster say: who exists, where, and whose container is certainly dead. */
import { readFileSync } from 'node:fs';
import { ANNOTATION_LEAVING, LABEL_INSTANCE } from '@pgherd/api';
import type { PodFact } from '@pgherd/ha';
import type { Pod } from '@pgherd/kube';

export const CONTAINER = 'postgres';

/** One fact for each pod that bears an instance's name. */
export function podFacts(pods: Pod[]): PodFact[] {
  return pods.flatMap((pod) => {
    const instance = pod.metadata.labels?.[LABEL_INSTANCE];
    const uid = pod.metadata.uid;
    if (!instance || !uid) return [];
    const address = pod.status?.podIP;
    return [
      {
        instance,
        uid,
        ...(address ? { address } : {}),
        deleting: pod.metadata.deletionTimestamp !== undefined,
        leaving: pod.metadata.annotations?.[ANNOTATION_LEAVING] !== undefined,
        terminated: terminatedContainers(pod),
      },
    ];
  });
}

/**
 * The containers that the kubelet saw end, in `state` or `lastState`: a restart hides it there within 0.1 s.
 * ContainerStatusUnknown is what it says of a container that it has lost sight of.
 */
function terminatedContainers(pod: Pod): string[] {
  const status = pod.status?.containerStatuses?.find((each) => each.name === CONTAINER);
  return [status?.state?.terminated, status?.lastState?.terminated].flatMap((ended) =>
    ended?.containerID && ended.reason !== 'ContainerStatusUnknown' ? [ended.containerID] : [],
  );
}

/**
 * The ID of the container we run in. The kubelet's word lags behind: after a restart it still shows our
 * predecessor, and to record that one would be to be pronounced dead. So only a container counts that was
 * started no earlier than ours (the kubelet gives whole seconds).
 *
 * @param startedWall when our container's first process started, milliseconds since 1970
 */
export function ownContainerID(
  pod: Pod | undefined,
  podUID: string,
  startedWall: number,
): string | undefined {
  if (pod?.metadata.uid !== podUID) return undefined;
  const status = pod.status?.containerStatuses?.find((each) => each.name === CONTAINER);
  const running = status?.state?.running;
  if (!status?.containerID || !running?.startedAt) return undefined;
  if (terminatedContainers(pod).includes(status.containerID)) return undefined;
  return Date.parse(String(running.startedAt)) >= Math.floor(startedWall / 1000) * 1000
    ? status.containerID
    : undefined;
}

/** When process 1 (the guard, so the container) started, milliseconds since 1970 by the clock of now. */
export function containerStart(wall: number): number {
  const uptimeMs = Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000;
  const stat = readFileSync('/proc/1/stat', 'utf8');
  // Fields after the command's name, which may hold anything: starttime is the 22nd, in hundredths of a second.
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  return wall - uptimeMs + ticks * 10;
}
