import type { ConfigMap, Container, EnvVar, Pod, Secret } from '@pgherd/kube';
import { LocalError } from '../errors.ts';
import { API_ADDRESS } from '../net/addresses.ts';

/** What of a pod is known only once it has an address. */
export interface PodPlace {
  podIP: string;
  hostIP: string;
}

/** Reads objects that a pod names. */
export interface ObjectReader {
  secret(name: string): Promise<Secret | undefined>;
  configMap(name: string): Promise<ConfigMap | undefined>;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The environment of a container: the image's, Kubernetes' own, then the pod's, in which `$(NAME)` is replaced.
 * @throws LocalError VolumeFailed-like problems as BadRequest, naming the missing object or key
 */
export async function environmentOf(
  pod: Pod,
  container: Container,
  place: PodPlace,
  image: Record<string, string>,
  reader: ObjectReader,
): Promise<Record<string, string>> {
  const env: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOME: '/',
    ...image,
    HOSTNAME: pod.spec.hostname ?? pod.metadata.name,
    KUBERNETES_SERVICE_HOST: API_ADDRESS,
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: `tcp://${API_ADDRESS}:443`,
    KUBERNETES_PORT_443_TCP: `tcp://${API_ADDRESS}:443`,
    KUBERNETES_PORT_443_TCP_ADDR: API_ADDRESS,
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
  };
  for (const source of container.envFrom ?? []) Object.assign(env, await wholeSource(source, reader));
  for (const variable of container.env ?? []) {
    const value = await variableValue(pod, container, variable, place, env, reader);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

async function wholeSource(
  source: NonNullable<Container['envFrom']>[number],
  reader: ObjectReader,
): Promise<Record<string, string>> {
  const data = source.secretRef
    ? await secretData(reader, source.secretRef)
    : source.configMapRef
      ? await configData(reader, source.configMapRef)
      : {};
  const prefix = source.prefix ?? '';
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [prefix + key, value]));
}

async function variableValue(
  pod: Pod,
  container: Container,
  variable: EnvVar,
  place: PodPlace,
  env: Record<string, string>,
  reader: ObjectReader,
): Promise<string | undefined> {
  const { value, valueFrom } = variable;
  if (!valueFrom) return expand(value ?? '', env);
  if (valueFrom.fieldRef) return fieldOf(pod, valueFrom.fieldRef.fieldPath, place);
  if (valueFrom.resourceFieldRef) return resourceOf(pod, container, valueFrom.resourceFieldRef);
  const reference = valueFrom.secretKeyRef ?? valueFrom.configMapKeyRef;
  if (!reference) return undefined;
  const what = valueFrom.secretKeyRef ? 'secret' : 'configmap';
  const data = valueFrom.secretKeyRef
    ? await secretData(reader, reference)
    : await configData(reader, reference);
  const found = data[reference.key];
  if (found === undefined && !reference.optional)
    throw new LocalError('BadRequest', `couldn't find key ${reference.key} in ${what} ${reference.name}`);
  return found;
}

interface Reference {
  name?: string;
  optional?: boolean;
}

async function secretData(reader: ObjectReader, reference: Reference): Promise<Record<string, string>> {
  const secret = await reader.secret(reference.name ?? '');
  if (!secret && !reference.optional)
    throw new LocalError('BadRequest', `secret "${reference.name}" not found`);
  return Object.fromEntries(
    Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
}

async function configData(reader: ObjectReader, reference: Reference): Promise<Record<string, string>> {
  const found = await reader.configMap(reference.name ?? '');
  if (!found && !reference.optional)
    throw new LocalError('BadRequest', `configmap "${reference.name}" not found`);
  return found?.data ?? {};
}

/** Replaces `$(NAME)` by what is known already; `$$(NAME)` stands for itself without the first `$`. */
export function expand(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$\$|\$\(([^()\s]+)\)/g, (whole, name?: string) => {
    if (name === undefined) return '$';
    return env[name] ?? whole;
  });
}

/** A field of a pod, as the downward API names it. @throws LocalError BadRequest for one that is not offered */
export function fieldOf(pod: Pod, path: string, place: PodPlace): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (subscript) return metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name;
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return keyValues(metadata.labels);
    case 'metadata.annotations':
      return keyValues(metadata.annotations);
    case 'spec.nodeName':
      return spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? 'default';
    case 'status.podIP':
    case 'status.podIPs':
      return place.podIP;
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostIP;
    default:
      throw new LocalError('BadRequest', `fieldPath ${path} is not supported`);
  }
}

function keyValues(map: Record<string, string> = {}): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort()
    .join('\n');
}

function resourceOf(
  pod: Pod,
  container: Container,
  reference: { containerName?: string; resource: string; divisor?: string },
): string {
  const target = pod.spec.containers.find(({ name }) => name === reference.containerName) ?? container;
  const [kind, resource] = reference.resource.split('.') as ['limits' | 'requests', string];
  const quantity = target.resources?.[kind]?.[resource] ?? target.resources?.requests?.[resource] ?? '0';
  const divisor = amount(reference.divisor && reference.divisor !== '0' ? reference.divisor : '1');
  return String(Math.ceil(amount(quantity) / divisor));
}

const UNITS: Record<string, number> = { m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };
const BINARY_UNITS: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** A quantity as a plain number; 0 for what is none. */
export function amount(quantity: string): number {
  const match = /^([0-9.]+)([a-zA-Z]*)$/.exec(quantity);
  if (!match) return 0;
  const unit = match[2]!;
  return Number(match[1]) * (unit === '' ? 1 : (UNITS[unit] ?? BINARY_UNITS[unit] ?? 1));
}
