import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import {
  type Endpoint,
  type EndpointPort,
  type EndpointSlice,
  hasLabels,
  isKubeError,
  kinds,
  type Pod,
  type Service,
} from '@pgherd/kube';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { controllerReference, isFinished, isReady, isTerminating } from './pods.ts';

/**
 * EndpointSlices: which addresses a Service leads to. A failover is over for clients when this controller has
 * followed the new selector of the Service, so it acts on each change at once and writes only differences.
 */

const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';

export interface SlicePlan {
  create: EndpointSlice[];
  update: EndpointSlice[];
  remove: EndpointSlice[];
}

/** What has to be written so that the slices of a service say where its pods are now. Pure. */
export function planSlices(service: Service, pods: Pod[], existing: EndpointSlice[]): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const wanted = desiredSlices(service, pods);
  for (const slice of wanted) {
    const old = existing.find(({ metadata }) => metadata.name === slice.metadata.name);
    if (!old) plan.create.push(slice);
    else if (!same(old, slice)) {
      plan.update.push({
        ...old,
        endpoints: slice.endpoints,
        ports: slice.ports,
        metadata: { ...old.metadata, labels: slice.metadata.labels },
      });
    }
  }
  for (const old of existing) {
    if (!wanted.some(({ metadata }) => metadata.name === old.metadata.name)) plan.remove.push(old);
  }
  return plan;
}

function same(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    isDeepStrictEqual(a.endpoints, b.endpoints) &&
    isDeepStrictEqual(a.ports ?? [], b.ports ?? []) &&
    isDeepStrictEqual(a.metadata.labels, b.metadata.labels)
  );
}

/** One slice for each set of port numbers; pods that name their ports alike share one. */
function desiredSlices(service: Service, pods: Pod[]): EndpointSlice[] {
  const groups = new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
  for (const pod of [...pods].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))) {
    const endpoint = endpointOf(service, pod);
    if (!endpoint) continue;
    const ports = portsOf(service, pod);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(endpoint);
    groups.set(key, group);
  }
  // Without any pod the slice stays, empty: the next failover is then an update and not a creation.
  if (groups.size === 0) groups.set('', { ports: numericPorts(service), endpoints: [] });
  return [...groups.values()].map(({ ports, endpoints }) => sliceOf(service, ports, endpoints));
}

function sliceOf(service: Service, ports: EndpointPort[], endpoints: Endpoint[]): EndpointSlice {
  const { name, namespace, uid, labels } = service.metadata;
  const hash = createHash('sha256')
    .update(JSON.stringify([uid, ports]))
    .digest('hex')
    .slice(0, 5);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels: {
        ...labels,
        [SERVICE_NAME]: name,
        [MANAGED_BY]: MANAGER,
        ...(service.spec.clusterIP === 'None' ? { 'service.kubernetes.io/headless': '' } : {}),
      },
      ownerReferences: [controllerReference({ ...service, apiVersion: 'v1', kind: 'Service' })],
    },
    addressType: 'IPv4',
    endpoints,
    ports,
  };
}

/** The entry of a pod, or undefined while it has no address or is finished. */
function endpointOf(service: Service, pod: Pod): Endpoint | undefined {
  const address = pod.status?.podIP;
  if (!address || isFinished(pod)) return undefined;
  const { name, namespace, uid } = pod.metadata;
  const serving = isReady(pod) || service.spec.publishNotReadyAddresses === true;
  const terminating = isTerminating(pod);
  const ready = (serving && !terminating) || service.spec.publishNotReadyAddresses === true;
  const { hostname, subdomain, nodeName } = pod.spec;
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(hostname && subdomain === service.metadata.name ? { hostname } : {}),
    nodeName,
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

function portsOf(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec.ports ?? []).flatMap(
    ({ name = '', port, targetPort = port, protocol = 'TCP', appProtocol }) => {
      const number = typeof targetPort === 'number' ? targetPort : namedPort(pod, targetPort, protocol);
      if (number === undefined) return [];
      return [{ name, port: number, protocol, ...(appProtocol ? { appProtocol } : {}) }];
    },
  );
}

function numericPorts(service: Service): EndpointPort[] {
  return portsOf(service, { metadata: { name: '' }, spec: { containers: [] } } as unknown as Pod);
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  const ports = pod.spec.containers.flatMap((container) => container.ports ?? []);
  const found = ports.find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol);
  return found?.containerPort ?? (/^\d+$/.test(name) ? Number(name) : undefined);
}

/** Whether a change of a pod can change any slice. Heartbeats of its conditions do not. */
export function podMatters(pod: Pod | undefined, old: Pod | undefined): boolean {
  if (!pod || !old) return true;
  return !isDeepStrictEqual(facts(pod), facts(old));
}

function facts(pod: Pod): unknown[] {
  const { labels, deletionTimestamp } = pod.metadata;
  return [
    labels,
    deletionTimestamp !== undefined,
    pod.status?.podIP,
    isReady(pod),
    isFinished(pod),
    pod.spec.nodeName,
  ];
}

/** Runs the controller. */
export function startEndpointSlices(context: Context): void {
  const { client, caches } = context;
  const { services, pods, slices } = caches;
  const queue = workQueue(context, 'endpointslices', reconcile, { concurrency: 8, minBackoffMs: 5 });

  services.onChange((service, old) => queue.add(keyOf((service ?? old)!)));
  pods.onChange((pod, old) => {
    if (!podMatters(pod, old)) return;
    const { namespace } = (pod ?? old)!.metadata;
    for (const service of services.list({ namespace })) {
      const { selector } = service.spec;
      if (!selector) continue;
      if (
        (pod && hasLabels(pod.metadata.labels, selector)) ||
        (old && hasLabels(old.metadata.labels, selector))
      ) {
        queue.add(keyOf(service));
      }
    }
  });
  slices.onChange((slice, old) => {
    const { namespace, labels } = (slice ?? old)!.metadata;
    if (labels?.[MANAGED_BY] === MANAGER) queue.add(`${namespace}/${labels[SERVICE_NAME]}`);
  });

  async function reconcile(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const service = services.get(namespace, name);
    const existing = slices.list({ namespace, labels: { [SERVICE_NAME]: name, [MANAGED_BY]: MANAGER } });
    if (!service) {
      for (const slice of existing) await remove(slice);
      return;
    }
    const { selector } = service.spec;
    // Without a selector somebody else says where the service leads.
    if (!selector || Object.keys(selector).length === 0 || service.spec.type === 'ExternalName') return;
    const plan = planSlices(service, pods.list({ namespace, labels: selector }), existing);
    for (const slice of plan.create) slices.absorb(await client.create(kinds.EndpointSlice, slice));
    for (const slice of plan.update) slices.absorb(await client.update(kinds.EndpointSlice, slice));
    for (const slice of plan.remove) await remove(slice);
  }

  async function remove(slice: EndpointSlice): Promise<void> {
    try {
      await client.delete(kinds.EndpointSlice, slice.metadata);
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }
}
