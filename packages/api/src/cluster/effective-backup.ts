/** What `spec.backup` asks for with every default filled in. */
import { parseBytes } from '../quantity.ts';
import { DEFAULTS } from './defaults.ts';
import type { ClusterSpec } from './spec.ts';

type Given = NonNullable<ClusterSpec['backup']>;
type GivenRepository = Given['repositories'][number];
type SecretKey = NonNullable<GivenRepository['encryption']>['secret'];

export type Compression = 'none' | 'gz' | 'lz4' | 'zst' | 'bz2';

interface Store {
  /** Host, without protocol. */
  endpoint: string;
  /** Where it is not 443. */
  port?: number;
  /** Folder of everything of this cluster. */
  prefix: string;
  ca?: SecretKey;
}

export type EffectiveStore =
  | { kind: 'volume'; size: string; bytes: number; storageClass?: string }
  | (Store & {
      kind: 's3';
      bucket: string;
      region: string;
      uriStyle: 'host' | 'path';
      credentials?: { accessKeyId: SecretKey; secretAccessKey: SecretKey; sessionToken?: SecretKey };
    })
  | (Store & {
      kind: 'azure';
      account: string;
      container: string;
      uriStyle: 'host' | 'path';
      credentials: { key?: SecretKey; sasToken?: SecretKey };
    })
  | (Store & { kind: 'gcs'; bucket: string; credentials?: SecretKey });

export interface EffectiveRepository {
  name: string;
  store: EffectiveStore;
  /** Key of a Secret with the passphrase. */
  encryption?: SecretKey;
  retention: NonNullable<GivenRepository['retention']>;
}

export interface EffectiveBackup {
  repositories: EffectiveRepository[];
  target: 'prefer-standby' | 'primary';
  compression: { type: Compression; level?: number };
  /** Processes of pgBackRest. */
  parallelism: number;
}

/** `spec.backup` of the cluster called so, with every default filled in. */
export function effectiveBackup(
  cluster: { name: string; namespace?: string },
  given: Given,
): EffectiveBackup {
  const prefix = `/pgherd/${cluster.namespace ?? 'default'}/${cluster.name}`;
  return {
    repositories: given.repositories.map((one) => effectiveRepository(one, prefix)),
    target: given.target ?? DEFAULTS.backupTarget,
    compression: {
      type: given.compression?.type ?? DEFAULTS.compression,
      ...(given.compression?.level === undefined ? {} : { level: given.compression.level }),
    },
    parallelism: given.parallelism ?? DEFAULTS.parallelism,
  };
}

/** One repository; `prefix` is the folder for whoever names none. */
export function effectiveRepository(given: GivenRepository, prefix: string): EffectiveRepository {
  return {
    name: given.name,
    store: store(given, prefix),
    ...(given.encryption ? { encryption: given.encryption.secret } : {}),
    retention: given.retention ?? {},
  };
}

function store({ volume, s3, azure, gcs, name }: GivenRepository, prefix: string): EffectiveStore {
  const common = (given: { prefix?: string; ca?: SecretKey }, endpoint: string) => ({
    ...hostAndPort(endpoint),
    prefix: (given.prefix ?? prefix).replace(/(.)\/+$/, '$1'),
    ...(given.ca ? { ca: given.ca } : {}),
  });
  if (volume) return { kind: 'volume', ...volume, bytes: Number(parseBytes(volume.size)) };
  if (s3)
    return {
      kind: 's3',
      ...common(s3, s3.endpoint),
      bucket: s3.bucket,
      region: s3.region,
      uriStyle: s3.uriStyle ?? 'host',
      ...(s3.credentials ? { credentials: s3.credentials } : {}),
    };
  if (azure)
    return {
      kind: 'azure',
      ...common(azure, azure.endpoint ?? 'blob.core.windows.net'),
      account: azure.account,
      container: azure.container,
      uriStyle: azure.uriStyle ?? 'host',
      credentials: azure.credentials,
    };
  if (gcs)
    return {
      kind: 'gcs',
      ...common(gcs, gcs.endpoint ?? 'storage.googleapis.com'),
      bucket: gcs.bucket,
      ...(gcs.credentials ? { credentials: gcs.credentials } : {}),
    };
  // The API refuses it; a volume that cannot be made says so in the status.
  return { kind: 'volume', size: '0', bytes: 0, storageClass: name };
}

function hostAndPort(endpoint: string): { endpoint: string; port?: number } {
  const [host = '', port] = endpoint
    .replace(/^https:\/\//, '')
    .replace(/\/$/, '')
    .split(':');
  return { endpoint: host, ...(port && port !== '443' ? { port: Number(port) } : {}) };
}

/** The keys of Secrets that a repository needs. */
export function repositorySecrets({ store, encryption }: EffectiveRepository): SecretKey[] {
  const keys = [encryption];
  if (store.kind !== 'volume') keys.push(store.ca);
  if (store.kind === 's3')
    keys.push(
      store.credentials?.accessKeyId,
      store.credentials?.secretAccessKey,
      store.credentials?.sessionToken,
    );
  if (store.kind === 'azure') keys.push(store.credentials.key, store.credentials.sasToken);
  if (store.kind === 'gcs') keys.push(store.credentials);
  return keys.filter((key) => key !== undefined);
}

/**
 * Numbers for pgBackRest: a repository that has one keeps it, a new one gets the lowest that is free, so that
 * nothing changes for the others when one comes or goes.
 */
export function repositoryNumbers(
  names: readonly string[],
  known: readonly { name: string; number: number }[] = [],
): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const { name, number } of known) if (names.includes(name)) numbers.set(name, number);
  const taken = new Set(numbers.values());
  for (const name of names) {
    if (numbers.has(name)) continue;
    let number = 1;
    while (taken.has(number)) number++;
    taken.add(number);
    numbers.set(name, number);
  }
  return numbers;
}
