import { isDeepStrictEqual } from 'node:util';
import {
  type Endpoint,
  type EndpointSlice,
  type Endpoints,
  isKubeError,
  kinds,
  type Service,
} from '@pgherd/kube';
import { type Context, splitKey, workQueue } from './context.ts';
import { controllerReference } from './pods.ts';

/**
 * The older form of EndpointSlices, for those who look at it: nothing here is led by it, so it follows at leisure
 * and keeps out of the way of a failover.
 */

const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const SLICES = 'endpointslice-controller.k8s.io';
const SETTLE_MS = 500;

type Address = { ip: string; hostname?: string; nodeName?: string; targetRef?: Endpoint['targetRef'] };

/** What the slices of a service say, as one object. Pure. */
export function endpointsFor(service: Service, slices: EndpointSlice[]): Endpoints {
  const subsets = slices.flatMap(({ endpoints = [], ports = [] }) => {
    if (endpoints.length === 0) return [];
    const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false).flatMap(addresses);
    const others = endpoints
      .filter(({ conditions }) => conditions?.ready === false && !conditions.terminating)
      .flatMap(addresses);
    if (ready.length + others.length === 0) return [];
    return [
      {
        ...(ready.length > 0 ? { addresses: ready } : {}),
        ...(others.length > 0 ? { notReadyAddresses: others } : {}),
        ports: ports.map(({ name, ...port }) => (name ? { name, ...port } : port)),
      },
    ];
  });
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: service.metadata.name,
      namespace: service.metadata.namespace,
      labels: { ...service.metadata.labels, 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' },
      ownerReferences: [controllerReference({ ...service, apiVersion: 'v1', kind: 'Service' })],
    },
    ...(subsets.length > 0 ? { subsets } : {}),
  };
}

function addresses({ addresses: ips, hostname, nodeName, targetRef }: Endpoint): Address[] {
  return ips.map((ip) => ({
    ip,
    ...(hostname ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(targetRef ? { targetRef } : {}),
  }));
}

/** Runs the controller. */
export function startEndpoints(context: Context): void {
  const { client, caches } = context;
  const { services, slices } = caches;
  const queue = workQueue(context, 'endpoints', reconcile, { concurrency: 1 });
  slices.onChange((slice, old) => {
    const { namespace, labels } = (slice ?? old)!.metadata;
    if (labels?.[MANAGED_BY] === SLICES) queue.addAfter(`${namespace}/${labels[SERVICE_NAME]}`, SETTLE_MS);
  });

  async function reconcile(key: string): Promise<void> {
    const { namespace, name } = splitKey(key);
    const service = services.get(namespace, name);
    // A service that is gone takes its endpoints along, as their owner.
    if (!service || service.metadata.deletionTimestamp) return;
    const own = slices.list({ namespace, labels: { [SERVICE_NAME]: name, [MANAGED_BY]: SLICES } });
    const wanted = endpointsFor(service, own);
    const found = await client.find(kinds.Endpoints, wanted.metadata);
    if (found && isDeepStrictEqual(found.subsets ?? [], wanted.subsets ?? [])) return;
    try {
      if (found) await client.update(kinds.Endpoints, { ...found, subsets: wanted.subsets ?? [] });
      else await client.create(kinds.Endpoints, wanted);
    } catch (error) {
      // The namespace may be going.
      if (!isKubeError(error, 'NotFound', 'Forbidden')) throw error;
    }
  }
}
