/** What serves repositories that are volumes: one pod with pgBackRest's server, its service, and the claims. */
import {
  CERTIFICATE_MOUNT,
  clusterLabels,
  type EffectiveBackup,
  type EffectiveRepository,
  FOREIGN,
  LABEL_REPOSITORY,
  LABEL_REPOSITORY_POD,
  MANAGER_PORT,
  names,
  PASSPHRASE_MOUNT,
  PGBACKREST_PORT,
  REPOSITORY_MOUNT,
  REPOSITORY_SETTINGS,
  type RepositorySettings,
  repositoryClaimName,
} from '@pgherd/api';
import type {
  Container,
  Deployment,
  PersistentVolumeClaim,
  PodSpec,
  Service,
  Toleration,
  Volume,
  VolumeMount,
} from '@pgherd/kube';
import { foreignRepository } from '../recovery-source.ts';
import { childMetadata, type SpecContext } from './metadata.ts';
import { payloadContainer, restricted, restrictedPod } from './pod.ts';

type VolumeRepository = EffectiveRepository & { store: { kind: 'volume' } };

/** Those of the repositories that are volumes. */
export function volumeRepositories(backup: EffectiveBackup | undefined): VolumeRepository[] {
  return (backup?.repositories ?? []).filter((one): one is VolumeRepository => one.store.kind === 'volume');
}

/** Whether there is something to serve: repositories that are volumes, or that of a cluster that is gone. */
export function needsRepositoryPod({ cluster, spec }: Pick<SpecContext, 'cluster' | 'spec'>): boolean {
  return volumeRepositories(spec.backup).length > 0 || foreignRepository(cluster) !== undefined;
}

/** The labels by which the repository pod is found. Not the cluster's own: those mark its instances. */
function repositoryLabels(cluster: string): Record<string, string> {
  return { [LABEL_REPOSITORY_POD]: cluster };
}

/** The claim of a repository. It has no owner: backups outlive their cluster. */
export function repositoryClaim(context: SpecContext, repository: VolumeRepository): PersistentVolumeClaim {
  const { name } = context.cluster.metadata;
  const { size, storageClass } = repository.store;
  const { ownerReferences: _, ...metadata } = childMetadata(
    context,
    repositoryClaimName(name, repository.name),
    {
      labels: { ...clusterLabels(name), [LABEL_REPOSITORY]: repository.name },
    },
  );
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata,
    spec: {
      accessModes: ['ReadWriteOnce'],
      volumeMode: 'Filesystem',
      resources: { requests: { storage: size } },
      ...(storageClass ? { storageClassName: storageClass } : {}),
    },
  };
}

/** Leads to the repository pod, also while it says that it is not ready: its word on that is late. */
export function repositoryService(context: SpecContext): Service {
  const { name } = context.cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMetadata(context, names(name).backup),
    spec: {
      type: 'ClusterIP',
      selector: repositoryLabels(name),
      publishNotReadyAddresses: true,
      ports: [
        { name: 'pgbackrest', port: PGBACKREST_PORT, targetPort: PGBACKREST_PORT, protocol: 'TCP' },
        { name: 'manager', port: MANAGER_PORT, targetPort: MANAGER_PORT, protocol: 'TCP' },
      ],
    },
  };
}

/** Gives each instance a name of its own, which pgBackRest checks against the certificate. */
export function podsService(context: SpecContext): Service {
  const { name } = context.cluster.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: childMetadata(context, names(name).pods),
    spec: {
      type: 'ClusterIP',
      clusterIP: 'None',
      selector: clusterLabels(name),
      publishNotReadyAddresses: true,
      ports: [{ name: 'pgbackrest', port: PGBACKREST_PORT, targetPort: PGBACKREST_PORT, protocol: 'TCP' }],
    },
  };
}

/** `numbers`: pgBackRest's numbers of the repositories. */
export function repositoryDeployment(context: SpecContext, numbers: ReadonlyMap<string, number>): Deployment {
  const { cluster, spec } = context;
  const { backup } = spec;
  const foreign = foreignRepository(cluster);
  const { name } = cluster.metadata;
  const labels = repositoryLabels(name);
  const repositories = volumeRepositories(backup);
  const container = repositoryContainer(context, numbers, foreign);
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: childMetadata(context, names(name).backup),
    spec: {
      replicas: 1,
      // Two pods must never write to one repository at once.
      strategy: { type: 'Recreate' },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels: { ...spec.inheritedMetadata.labels, ...labels } },
        spec: {
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 10,
          securityContext: restrictedPod(),
          initContainers: [payloadContainer(context.operatorImage, container)],
          containers: [container],
          volumes: [...volumes(name, repositories), ...foreignVolumes(foreign)],
          ...placement(context),
        },
      },
    },
  };
}

function placement({ spec }: SpecContext): Partial<PodSpec> {
  const { nodeSelector, tolerations } = spec.affinity;
  return {
    ...(nodeSelector ? { nodeSelector } : {}),
    ...(tolerations ? { tolerations: tolerations as Toleration[] } : {}),
  };
}

function repositoryContainer(
  { cluster, spec }: SpecContext,
  numbers: ReadonlyMap<string, number>,
  foreign: Foreign | undefined,
): Container {
  const repositories = volumeRepositories(spec.backup);
  const settings: RepositorySettings = {
    cluster: cluster.metadata.name,
    namespace: cluster.metadata.namespace,
    compression: spec.backup?.compression ?? { type: 'zst' },
    parallelism: spec.backup?.parallelism ?? 2,
    repositories: repositories.map(({ name, retention, encryption }) => ({
      name,
      number: numbers.get(name) ?? 0,
      retention,
      encrypted: encryption !== undefined,
    })),
    ...(foreign ? { foreign: { encrypted: foreign.encryption !== undefined } } : {}),
  };
  const healthz = { httpGet: { path: '/healthz', port: MANAGER_PORT, scheme: 'HTTPS' }, timeoutSeconds: 5 };
  return {
    name: 'repository',
    image: spec.imageName,
    ...(spec.imagePullPolicy ? { imagePullPolicy: spec.imagePullPolicy } : {}),
    command: ['/pgherd/bin/node', '/pgherd/repository.mjs'],
    env: [{ name: REPOSITORY_SETTINGS, value: JSON.stringify(settings) }],
    ports: [
      { name: 'pgbackrest', containerPort: PGBACKREST_PORT, protocol: 'TCP' },
      { name: 'manager', containerPort: MANAGER_PORT, protocol: 'TCP' },
    ],
    volumeMounts: [...mounts(repositories), ...foreignMounts(foreign)],
    readinessProbe: { ...healthz, periodSeconds: 1, failureThreshold: 3 },
    livenessProbe: { ...healthz, periodSeconds: 10, failureThreshold: 3 },
    securityContext: restricted(),
    terminationMessagePolicy: 'FallbackToLogsOnError',
  };
}

type Foreign = NonNullable<ReturnType<typeof foreignRepository>>;

/** Nothing of it is ever changed: it is all that is left of a cluster. */
function foreignMounts(foreign: Foreign | undefined): VolumeMount[] {
  if (!foreign) return [];
  return [
    { name: 'foreign', mountPath: `${REPOSITORY_MOUNT}/${FOREIGN}`, readOnly: true },
    ...(foreign.encryption
      ? [{ name: 'foreign-passphrase', mountPath: `${PASSPHRASE_MOUNT}/${FOREIGN}`, readOnly: true }]
      : []),
  ];
}

function foreignVolumes(foreign: Foreign | undefined): Volume[] {
  if (!foreign) return [];
  const { claim, encryption } = foreign;
  return [
    { name: 'foreign', persistentVolumeClaim: { claimName: claim } },
    ...(encryption ? [passphraseVolume('foreign-passphrase', encryption)] : []),
  ];
}

function passphraseVolume(name: string, key: { name: string; key: string }): Volume {
  const items = [{ key: key.key, path: 'passphrase' }];
  return { name, secret: { secretName: key.name, items, defaultMode: 0o440 } };
}

function mounts(repositories: VolumeRepository[]): VolumeMount[] {
  return [
    { name: 'pgherd', mountPath: '/pgherd', readOnly: true },
    { name: 'run', mountPath: '/run' },
    { name: 'tmp', mountPath: '/tmp' },
    { name: 'certificate', mountPath: CERTIFICATE_MOUNT, readOnly: true },
    ...repositories.map(({ name }) => ({
      name: `repository-${name}`,
      mountPath: `${REPOSITORY_MOUNT}/${name}`,
    })),
    ...repositories
      .filter(({ encryption }) => encryption)
      .map(({ name }) => ({
        name: `passphrase-${name}`,
        mountPath: `${PASSPHRASE_MOUNT}/${name}`,
        readOnly: true,
      })),
  ];
}

function volumes(cluster: string, repositories: VolumeRepository[]): Volume[] {
  return [
    { name: 'pgherd', emptyDir: {} },
    // In memory: keys and passphrases lie there.
    { name: 'run', emptyDir: { medium: 'Memory' } },
    { name: 'tmp', emptyDir: {} },
    { name: 'certificate', secret: { secretName: names(cluster).backup, defaultMode: 0o440 } },
    ...repositories.flatMap(({ name, encryption }): Volume[] => [
      {
        name: `repository-${name}`,
        persistentVolumeClaim: { claimName: repositoryClaimName(cluster, name) },
      },
      ...(encryption ? [passphraseVolume(`passphrase-${name}`, encryption)] : []),
    ]),
  ];
}
