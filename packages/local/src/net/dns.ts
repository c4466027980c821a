import type { EndpointSlice, Service } from '@pgherd/kube';
import type { Answer, Packet } from 'dns-packet';
import { CLUSTER_DOMAIN } from './addresses.ts';
import { SERVICE_NAME_LABEL } from './services.ts';

/** Seconds; short, since pods come and go. */
const TTL = 5;

/** Where names are looked up. */
export interface DnsSource {
  service(namespace: string, name: string): Service | undefined;
  slices(namespace: string, service: string): EndpointSlice[];
}

/** Answers a query as a cluster's DNS does; undefined for what is no query. */
export function answer(query: Packet, source: DnsSource): Packet | undefined {
  const question = query.questions?.[0];
  if (!question) return undefined;
  const found = lookUp(question.name.toLowerCase().replace(/\.$/, ''), question.type, source);
  return {
    type: 'response',
    id: query.id ?? 0,
    // Authoritative, recursion desired copied, recursion available; low bits: 3 is NXDOMAIN.
    flags: 0x0400 | ((query.flags ?? 0) & 0x0100) | 0x0080 | (found === undefined ? 3 : 0),
    questions: [question],
    answers: (found ?? []).map((entry) => ({ ...entry, name: question.name, ttl: TTL }) as Answer),
  };
}

type Found = { type: 'A'; data: string } | { type: 'CNAME'; data: string } | { type: 'SRV'; data: Srv };
interface Srv {
  port: number;
  target: string;
  priority: number;
  weight: number;
}

/** Undefined: no such name. Empty: the name is there, but not with this type. */
function lookUp(name: string, type: string, source: DnsSource): Found[] | undefined {
  if (!name.endsWith(`.${CLUSTER_DOMAIN}`)) return undefined;
  const labels = name.slice(0, -CLUSTER_DOMAIN.length - 1).split('.');
  const zone = labels.pop();
  if (zone === 'pod') return type === 'A' ? podAddress(labels) : [];
  const namespace = labels.pop();
  const serviceName = labels.pop();
  if (zone !== 'svc' || namespace === undefined || serviceName === undefined) return undefined;
  const service = source.service(namespace, serviceName);
  if (!service) return undefined;
  const slices = source.slices(namespace, serviceName);
  if (labels.length === 2) return srvRecords(labels, type, service, slices);
  if (labels.length === 1) return ofType(type, hostAddresses(labels[0]!, slices));
  if (labels.length > 0) return undefined;
  if (service.spec.externalName) return [{ type: 'CNAME', data: service.spec.externalName }];
  const { clusterIP } = service.spec;
  return ofType(type, clusterIP && clusterIP !== 'None' ? [clusterIP] : readyAddresses(service, slices));
}

function ofType(type: string, addresses: string[]): Found[] | undefined {
  if (addresses.length === 0) return undefined;
  return type === 'A' ? addresses.map((data) => ({ type: 'A', data })) : [];
}

function podAddress([dashed, namespace, ...rest]: string[]): Found[] | undefined {
  if (!dashed || !namespace || rest.length > 0 || !/^\d+-\d+-\d+-\d+$/.test(dashed)) return undefined;
  return [{ type: 'A', data: dashed.replaceAll('-', '.') }];
}

function readyAddresses(service: Service, slices: EndpointSlice[]): string[] {
  const all = service.spec.publishNotReadyAddresses === true;
  const found = slices
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ conditions }) => all || conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses);
  return [...new Set(found)];
}

function hostAddresses(hostname: string, slices: EndpointSlice[]): string[] {
  const found = slices
    .flatMap(({ endpoints }) => endpoints)
    .filter((endpoint) => endpoint.hostname === hostname)
    .flatMap(({ addresses }) => addresses);
  return [...new Set(found)];
}

function srvRecords(
  [port, protocol]: string[],
  type: string,
  service: Service,
  slices: EndpointSlice[],
): Found[] | undefined {
  if (type !== 'SRV') return [];
  const wanted = { name: port?.slice(1), protocol: protocol?.slice(1).toUpperCase() };
  const target = `${service.metadata.name}.${service.metadata.namespace}.svc.${CLUSTER_DOMAIN}`;
  const ports = service.spec.ports?.filter(
    (candidate) => candidate.name === wanted.name && (candidate.protocol ?? 'TCP') === wanted.protocol,
  );
  if (!ports?.length || slices.length === 0) return undefined;
  return ports.map((found) => ({
    type: 'SRV',
    data: { port: found.port, target, priority: 0, weight: 100 },
  }));
}

/** The index under which slices are kept for these look-ups. */
export function sliceKey(slice: EndpointSlice): string[] {
  const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
  return service ? [`${slice.metadata.namespace}/${service}`] : [];
}
