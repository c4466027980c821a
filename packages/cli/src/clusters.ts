/** Reading clusters and their parts; what several commands need. */
import { isFinished, LABEL_CLUSTER, LABEL_INSTANCE, type LeaseRecord, names, readLease } from '@pgherd/api';
import { type Client, isKubeError, kinds, type Lease, type Pod } from '@pgherd/kube';
import { CliError } from './errors.ts';
import { ClusterKind, type ClusterObject, OperationKind, type OperationObject } from './kinds.ts';

/** Reads a cluster; CliError `notFound` says how to find the right name. */
export async function getCluster(client: Client, namespace: string, name: string): Promise<ClusterObject> {
  try {
    return await client.get(ClusterKind, { namespace, name });
  } catch (error) {
    throw explainMissing(error, namespace, name);
  }
}

/** Throws CliError `notFound`, with the names there are, where the cluster has no instance of that name. */
export function requireInstance({ metadata, status }: ClusterObject, instance: string): void {
  const known = status?.instanceNames ?? [];
  if (known.includes(instance)) return;
  throw new CliError('notFound', `Cluster ${metadata.name} has no instance ${instance}.`, {
    hint: `It has: ${known.join(', ') || 'none'}.`,
  });
}

/** The operator writes the status now and then: so often is a change tried anew after somebody else's. */
const TRIES = 10;

/**
 * Changes a Cluster by a merge patch that depends on what it is. `wanted` is asked again, with the Cluster as it is
 * then, when somebody else was faster. Throws KubeError `Conflict` where that goes on and on.
 */
export async function changeCluster(
  client: Client,
  cluster: ClusterObject,
  wanted: (cluster: ClusterObject) => { metadata?: object; spec?: object },
): Promise<ClusterObject> {
  const { namespace, name } = cluster.metadata;
  let current = cluster;
  for (let left = TRIES; ; left--) {
    const { metadata, ...rest } = wanted(current);
    const { resourceVersion } = current.metadata;
    const body = { ...rest, metadata: { ...metadata, resourceVersion } };
    try {
      return await client.patch(
        ClusterKind,
        { namespace, name },
        { type: 'merge', body, fieldManager: 'pgherd' },
      );
    } catch (error) {
      if (!isKubeError(error, 'Conflict') || left <= 1) throw error;
      current = await getCluster(client, namespace ?? '', name);
    }
  }
}

function explainMissing(error: unknown, namespace: string, name: string): unknown {
  if (!isKubeError(error, 'NotFound')) return error;
  if (!error.details?.name) {
    return new CliError('notFound', 'This Kubernetes cluster does not know the kind Cluster of pgherd.io.', {
      hint: 'Install the operator first; without Kubernetes, `pgherd local up` does it.',
      cause: error,
    });
  }
  return new CliError('notFound', `There is no cluster ${name} in namespace ${namespace}.`, {
    hint: `List them with \`pgherd get clusters -n ${namespace}\`, or give another namespace with -n.`,
  });
}

/** The pods of a cluster's instances, in the order of their numbers. */
export async function instancePods(client: Client, namespace: string, name: string): Promise<Pod[]> {
  const { items } = await client.list(kinds.Pod, {
    namespace,
    labelSelector: `${LABEL_CLUSTER}=${name},${LABEL_INSTANCE}`,
  });
  return items.sort((a, b) => compareNames(a.metadata.name, b.metadata.name));
}

/** Orders `demo-2` before `demo-10`. */
export function compareNames(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** What the cluster's Lease records; undefined when it is missing or unreadable. */
export async function leaseRecord(
  client: Client,
  namespace: string,
  name: string,
): Promise<LeaseRecord | undefined> {
  const lease = await client.find(kinds.Lease, { namespace, name: names(name).lease });
  return lease && readable(lease);
}

function readable(lease: Lease): LeaseRecord | undefined {
  try {
    return readLease(lease as Parameters<typeof readLease>[0]);
  } catch {
    return undefined;
  }
}

/** The Operations of a cluster that have not ended, the one that runs first. */
export async function openOperations(
  client: Client,
  namespace: string,
  cluster: string,
): Promise<OperationObject[]> {
  const { items } = await client.list(OperationKind, { namespace });
  const runs = ({ status }: OperationObject) => Number(status?.phase === 'Running');
  return items
    .filter((each) => each.spec.cluster === cluster && !isFinished(each))
    .sort((a, b) => runs(b) - runs(a));
}

/** The instance that leads by the Lease, else by the Cluster's status. */
export function primaryName(cluster: ClusterObject, lease: LeaseRecord | undefined): string | undefined {
  if (lease?.holder && lease.leader) return lease.leader.name;
  return cluster.status?.currentPrimary;
}

/** Whether the container `postgres` of a pod runs, so that one can exec into it. */
export function isRunning(pod: Pod): boolean {
  return pod.status?.containerStatuses?.some((c) => c.name === 'postgres' && c.state?.running) === true;
}

/** Whether a pod is ready for clients. */
export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
}
