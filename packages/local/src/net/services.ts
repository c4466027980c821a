import type { Endpoint, EndpointSlice, Service } from '@pgherd/kube';

/** One port of one service, with the addresses that answer for it now. */
export interface ServicePortTable {
  /** "namespace/name" */
  service: string;
  clusterIP: string;
  protocol: 'tcp' | 'udp';
  port: number;
  portName: string;
  /** "ip:port", sorted: the order must not depend on which slice came first. */
  backends: string[];
}

/** Who labels a slice with its service's name. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** The key by which relays.json and the relays' sockets know a service's port. */
export function relayKey(service: string, port: number): string {
  return `${service}:${port}`;
}

/** Everything the router has to translate, from services and the slices that belong to them. */
export function serviceTable(services: Service[], slices: EndpointSlice[]): ServicePortTable[] {
  const byService = Map.groupBy(
    slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME_LABEL]}`,
  );
  return services
    .flatMap((service) => {
      const key = `${service.metadata.namespace}/${service.metadata.name}`;
      return portsOf(service, key, byService.get(key) ?? []);
    })
    .sort((a, b) => compare(`${a.service}:${a.port}/${a.protocol}`, `${b.service}:${b.port}/${b.protocol}`));
}

function portsOf(service: Service, key: string, slices: EndpointSlice[]): ServicePortTable[] {
  const { clusterIP, ports = [] } = service.spec;
  if (!clusterIP || clusterIP === 'None' || service.spec.type === 'ExternalName') return [];
  return ports
    .filter(({ protocol = 'TCP' }) => protocol === 'TCP' || protocol === 'UDP')
    .map(({ name = '', port, protocol = 'TCP' }) => ({
      service: key,
      clusterIP,
      protocol: protocol.toLowerCase() as 'tcp' | 'udp',
      port,
      portName: name,
      backends: backends(slices, name, protocol),
    }));
}

function backends(slices: EndpointSlice[], portName: string, protocol: string): string[] {
  const found = slices
    .filter(({ addressType }) => addressType === 'IPv4')
    .flatMap((slice) => {
      const port = slice.ports?.find(
        (candidate) => (candidate.name ?? '') === portName && (candidate.protocol ?? 'TCP') === protocol,
      );
      if (!port?.port) return [];
      return slice.endpoints
        .filter(isReady)
        .flatMap(({ addresses }) => addresses.map((ip) => `${ip}:${port.port}`));
    });
  return [...new Set(found)].sort(compare);
}

function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
