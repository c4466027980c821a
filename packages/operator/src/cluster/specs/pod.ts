/** The pod of an instance. */
import { createHash } from 'node:crypto';
import {
  ANNOTATION_LEAVING,
  ANNOTATION_SERIAL,
  type Cluster,
  clusterLabels,
  dataClaimName,
  type EffectiveSpec,
  instanceLabels,
  instanceName,
  LABEL_ROLE,
  MANAGER_PORT,
  METRICS_PORT,
  names,
  POSTGRES_GID,
  POSTGRES_PORT,
  POSTGRES_UID,
  type Role,
  walClaimName,
} from '@pgherd/api';
import type {
  Affinity,
  Container,
  EnvVar,
  Pod,
  PodAffinityTerm,
  PodSpec,
  Probe,
  SecurityContext,
  Toleration,
  Volume,
  VolumeMount,
} from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

/** On a pod: a hash of what of the user's spec went into it. Another hash means that it has to be replaced. */
export const ANNOTATION_INPUTS = 'pgherd.io/pod-inputs';

export const DATABASE_CONTAINER = 'postgres';
const DATA_MOUNT = '/var/lib/postgresql/data';
const WAL_MOUNT = '/var/lib/postgresql/wal';

export interface PodOptions {
  serial: number;
  /** The role its label shows at first; missing for the instance that is to initialise the database. */
  role?: Role;
  /** RFC 3339; set on a pod that is made only to announce that its instance leaves. */
  leavingSince?: string;
}

/**
 * A hash of the parts of the user's spec that only a new pod can bring into force. It is made from what the
 * user wrote, not from the pod we build: another version of the operator, with other defaults, must not
 * restart any database.
 */
export function podInputs(spec: Cluster['spec']): string {
  const inputs = Object.fromEntries(INPUTS.map((field) => [field, spec[field]]));
  return createHash('sha256').update(canonical(inputs)).digest('hex').slice(0, 16);
}

const INPUTS: (keyof Cluster['spec'])[] = [
  'imageName',
  'imagePullPolicy',
  'imagePullSecrets',
  'resources',
  'affinity',
  'topologySpreadConstraints',
  'priorityClassName',
  'probes',
  'env',
  'envFrom',
  'startDelay',
  'stopDelay',
];

/** JSON with sorted keys; what is not set, or set to nothing, leaves no trace. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined && field !== null)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`;
}

/** The pod of instance number `options.serial`. */
export function instancePod(context: SpecContext, options: PodOptions): Pod {
  const { cluster, spec } = context;
  const name = instanceName(cluster.metadata.name, options.serial);
  const container = databaseContainer(context);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: childMetadata(context, name, {
      labels: {
        ...instanceLabels(cluster.metadata.name, name),
        ...(options.role ? { [LABEL_ROLE]: options.role } : {}),
      },
      annotations: {
        [ANNOTATION_SERIAL]: String(options.serial),
        [ANNOTATION_INPUTS]: podInputs(cluster.spec),
        ...(options.leavingSince ? { [ANNOTATION_LEAVING]: options.leavingSince } : {}),
      },
    }),
    spec: {
      hostname: name,
      subdomain: names(cluster.metadata.name).pods,
      serviceAccountName: names(cluster.metadata.name).serviceAccount,
      restartPolicy: 'Always',
      enableServiceLinks: false,
      terminationGracePeriodSeconds: Math.ceil(spec.stopDelayMs / 1000),
      securityContext: restrictedPod(),
      initContainers: [payloadContainer(context.operatorImage, container)],
      containers: [container],
      volumes: volumes(context, name),
      ...placement(context),
    },
  };
}

/** Who the processes of a restricted pod are. */
export function restrictedPod(): NonNullable<PodSpec['securityContext']> {
  return {
    runAsNonRoot: true,
    runAsUser: POSTGRES_UID,
    runAsGroup: POSTGRES_GID,
    fsGroup: POSTGRES_GID,
    fsGroupChangePolicy: 'OnRootMismatch',
    seccompProfile: { type: 'RuntimeDefault' },
  };
}

/** What a container of a restricted pod may do. */
export function restricted(): SecurityContext {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
  };
}

/** Copies the manager into the pod, so that any image with PostgreSQL serves. */
export function payloadContainer(image: string, database: Container): Container {
  return {
    name: 'bootstrap',
    image,
    command: ['cp', '-r', '/pgherd/.', '/shared/'],
    // As the database's: a pod is "Guaranteed" only if its init containers are.
    ...(database.resources ? { resources: database.resources } : {}),
    volumeMounts: [{ name: 'pgherd', mountPath: '/shared' }],
    securityContext: restricted(),
  };
}

function databaseContainer({ cluster, spec }: SpecContext): Container {
  const { resources } = spec;
  return {
    name: DATABASE_CONTAINER,
    image: spec.imageName,
    ...(spec.imagePullPolicy ? { imagePullPolicy: spec.imagePullPolicy } : {}),
    command: ['/pgherd/guard'],
    env: [...ownEnvironment(cluster.metadata.name), ...(spec.env as EnvVar[])],
    ...(spec.envFrom.length > 0 ? { envFrom: spec.envFrom } : {}),
    ports: [
      { name: 'postgresql', containerPort: POSTGRES_PORT, protocol: 'TCP' },
      { name: 'manager', containerPort: MANAGER_PORT, protocol: 'TCP' },
      { name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
    ],
    ...(Object.keys(resources).length > 0 ? { resources: asText(resources) } : {}),
    volumeMounts: mounts(spec.walStorage !== undefined),
    startupProbe: probe('/healthz', startupTimes(spec)),
    readinessProbe: probe('/readyz', { periodSeconds: 1, failureThreshold: 3, ...spec.probes.readiness }),
    livenessProbe: probe('/healthz', { periodSeconds: 10, failureThreshold: 3, ...spec.probes.liveness }),
    securityContext: restricted(),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

function ownEnvironment(cluster: string): EnvVar[] {
  const field = (name: string, fieldPath: string): EnvVar => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('POD_UID', 'metadata.uid'),
    field('POD_IP', 'status.podIP'),
    { name: 'CLUSTER_NAME', value: cluster },
    { name: 'PGDATA', value: `${DATA_MOUNT}/pgdata` },
  ];
}

type Amounts = Record<string, string | number>;

function asText(resources: { requests?: Amounts; limits?: Amounts }): Container['resources'] {
  const text = (amounts: Amounts) =>
    Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
  return {
    ...(resources.requests ? { requests: text(resources.requests) } : {}),
    ...(resources.limits ? { limits: text(resources.limits) } : {}),
  };
}

interface ProbeTimes {
  periodSeconds: number;
  failureThreshold: number;
  timeoutSeconds?: number;
}

/** As many failures as fit into `startDelay`, however long the time between two probes is. */
function startupTimes({ startDelayMs, probes }: EffectiveSpec): ProbeTimes {
  const periodSeconds = probes.startup?.periodSeconds ?? 1;
  const failureThreshold = Math.ceil(startDelayMs / 1000 / periodSeconds);
  return { failureThreshold, ...probes.startup, periodSeconds };
}

function probe(path: string, times: ProbeTimes): Probe {
  return { httpGet: { path, port: MANAGER_PORT, scheme: 'HTTPS' }, timeoutSeconds: 5, ...times };
}

function mounts(wal: boolean): VolumeMount[] {
  return [
    { name: 'pgherd', mountPath: '/pgherd', readOnly: true },
    { name: 'pgdata', mountPath: DATA_MOUNT },
    ...(wal ? [{ name: 'pgwal', mountPath: WAL_MOUNT }] : []),
    { name: 'run', mountPath: '/run' },
    { name: 'tmp', mountPath: '/tmp' },
    { name: 'shm', mountPath: '/dev/shm' },
  ];
}

function volumes({ spec }: SpecContext, instance: string): Volume[] {
  const claim = (name: string, claimName: string): Volume => ({ name, persistentVolumeClaim: { claimName } });
  return [
    { name: 'pgherd', emptyDir: {} },
    claim('pgdata', dataClaimName(instance)),
    ...(spec.walStorage ? [claim('pgwal', walClaimName(instance))] : []),
    // In memory: keys and passwords lie there, and it has to be empty after a restart of the pod.
    { name: 'run', emptyDir: { medium: 'Memory' } },
    { name: 'tmp', emptyDir: {} },
    { name: 'shm', emptyDir: { medium: 'Memory' } },
  ];
}

function placement({ cluster, spec }: SpecContext): Partial<PodSpec> {
  const { affinity } = spec;
  const apart: PodAffinityTerm = {
    topologyKey: affinity.topologyKey,
    labelSelector: { matchLabels: clusterLabels(cluster.metadata.name) },
  };
  const required = affinity.podAntiAffinityType === 'required';
  const more = affinity.additionalPodAntiAffinity as Affinity['podAntiAffinity'];
  const requiredTerms = [
    ...(affinity.enablePodAntiAffinity && required ? [apart] : []),
    ...(more?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
  ];
  const preferredTerms = [
    ...(affinity.enablePodAntiAffinity && !required ? [{ weight: 100, podAffinityTerm: apart }] : []),
    ...(more?.preferredDuringSchedulingIgnoredDuringExecution ?? []),
  ];
  const podAntiAffinity = {
    ...(requiredTerms.length > 0 ? { requiredDuringSchedulingIgnoredDuringExecution: requiredTerms } : {}),
    ...(preferredTerms.length > 0 ? { preferredDuringSchedulingIgnoredDuringExecution: preferredTerms } : {}),
  };
  const combined: Affinity = {
    ...(affinity.nodeAffinity ? { nodeAffinity: affinity.nodeAffinity as Affinity['nodeAffinity'] } : {}),
    ...(affinity.additionalPodAffinity
      ? { podAffinity: affinity.additionalPodAffinity as Affinity['podAffinity'] }
      : {}),
    ...(Object.keys(podAntiAffinity).length > 0 ? { podAntiAffinity } : {}),
  };
  return {
    ...(Object.keys(combined).length > 0 ? { affinity: combined } : {}),
    ...(affinity.nodeSelector ? { nodeSelector: affinity.nodeSelector } : {}),
    ...(affinity.tolerations ? { tolerations: affinity.tolerations as Toleration[] } : {}),
    ...spread(cluster.metadata.name, spec.topologySpreadConstraints),
    ...(spec.priorityClassName ? { priorityClassName: spec.priorityClassName } : {}),
    ...(spec.imagePullSecrets.length > 0 ? { imagePullSecrets: spec.imagePullSecrets } : {}),
  };
}

/** A constraint that does not say which pods count means the instances of the cluster. */
function spread(cluster: string, given: EffectiveSpec['topologySpreadConstraints']): Partial<PodSpec> {
  if (given.length === 0) return {};
  const labelSelector = { matchLabels: clusterLabels(cluster) };
  return { topologySpreadConstraints: given.map((constraint) => ({ labelSelector, ...constraint })) };
}
