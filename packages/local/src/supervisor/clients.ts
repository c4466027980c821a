/** The clients of what runs on a node: whose sessions live on when only its peers and the API are cut off from it. */
import { Client, kinds, matchesSelector, type Pod, type Service } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { stateLayout } from '../state.ts';

/** Traffic that an isolated node keeps. Clients on this machine itself are always among them. */
export interface SparedTraffic {
  /** Addresses of pods elsewhere. */
  addresses: string[];
  /** TCP ports of the node's pods. */
  ports: number[];
}

/** Reads who they are from the API, which must answer. */
export async function clientsOf(state: string | undefined, node: string): Promise<SparedTraffic> {
  const config = await loadKubeconfig({ path: stateLayout(state).kubeconfig });
  const client = new Client({ ...config, userAgent: 'pgherd-local' });
  try {
    const [pods, services] = await Promise.all([client.list(kinds.Pod, {}), client.list(kinds.Service, {})]);
    return spare(node, pods.items, services.items);
  } finally {
    client.close();
  }
}

/** Who stands behind the same service is no client of it but a peer. Pure. */
export function spare(node: string, pods: Pod[], services: Service[]): SparedTraffic {
  const here = pods.filter((pod) => pod.spec.nodeName === node);
  const concerned = services.filter((service) => here.some((pod) => stands(pod, service)));
  const ports = concerned.flatMap((service) =>
    (service.spec.ports ?? []).flatMap(({ port, targetPort = port }) =>
      typeof targetPort === 'number' ? targetPort : namedPorts(here, targetPort),
    ),
  );
  const addresses = pods
    .filter((pod) => pod.spec.nodeName !== node && !concerned.some((service) => stands(pod, service)))
    .flatMap((pod) => pod.status?.podIP ?? []);
  return { addresses, ports: [...new Set(ports)] };
}

function stands({ metadata }: Pod, service: Service): boolean {
  const { selector } = service.spec;
  if (!selector || metadata.namespace !== service.metadata.namespace) return false;
  return matchesSelector(metadata.labels, { matchLabels: selector });
}

function namedPorts(pods: Pod[], name: string): number[] {
  return pods.flatMap(({ spec }) =>
    spec.containers.flatMap(({ ports = [] }) =>
      ports.filter((each) => each.name === name).map(({ containerPort }) => containerPort),
    ),
  );
}
