/** From `spec.backup` and its secrets to what pgBackRest is told of its repositories. Pure. */
import {
  BACKUP_KINDS,
  type EffectiveBackup,
  type EffectiveRepository,
  names,
  PGBACKREST_PORT,
  repositorySecrets,
} from '@pgherd/api';
import {
  type BackrestOptions,
  type BackrestRepository,
  type BackrestRetention,
  type HostTls,
  KEEP_ALIVE,
  type RepositoryPlace,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';

type SecretKey = { name: string; key: string };

/** Where the repository pod keeps its configuration: the other pgBackRest has to be told. */
export const REPOSITORY_CONFIG = '/run/pgherd/pgbackrest/pgbackrest.conf';
/** And that of a repository whose cluster is gone: nothing else sees it, so that nothing there changes. */
export const FOREIGN_CONFIG = '/run/pgherd/pgbackrest/foreign.conf';

export interface RepositoryContext {
  /** The cluster whose repositories these are. */
  cluster: string;
  namespace: string;
  /** How the repository pod is told who we are. */
  tls: HostTls;
  /** Folder for the authorities and key files of object stores. */
  files: string;
  /** The configuration of the other side, where it is not the usual one. */
  hostConfig?: string;
  /** The value of a key of a Secret; undefined when there is none. */
  secret(name: string, key: string): string | undefined;
}

export interface ResolvedRepository {
  repository: BackrestRepository;
  /** Files that it needs, by path. */
  files: Map<string, string>;
}

/**
 * One repository as a command of an instance sees it: a volume is reached through the repository pod.
 * Throws InstanceError `ReferenceMissing` naming the secret that lacks something.
 */
export function resolveRepository(
  given: EffectiveRepository,
  number: number,
  c: RepositoryContext,
): ResolvedRepository {
  const files = new Map<string, string>();
  const value = ({ name, key }: SecretKey): string => {
    const text = c.secret(name, key);
    if (text === undefined)
      throw new InstanceError(
        'ReferenceMissing',
        `setting up repository ${given.name}: secret ${c.namespace}/${name} has no "${key}"`,
        { hint: 'create it, or correct spec.backup' },
      );
    return text;
  };
  // A file for a secret often ends with a line break that is no part of it.
  const line = (key: SecretKey): string => value(key).replace(/\r?\n$/, '');
  const file = (key: SecretKey, end: string): string => {
    const path = `${c.files}/${given.name}.${end}`;
    files.set(path, value(key));
    return path;
  };
  const repository: BackrestRepository = {
    number,
    place: place(given, c, line, file),
    ...(given.encryption ? { passphrase: line(given.encryption) } : {}),
    retention: retentionOf(given),
  };
  return { repository, files };
}

function place(
  { store }: EffectiveRepository,
  c: RepositoryContext,
  line: (key: SecretKey) => string,
  file: (key: SecretKey, end: string) => string,
): RepositoryPlace {
  if (store.kind === 'volume')
    return {
      kind: 'host',
      host: `${names(c.cluster).backup}.${c.namespace}.svc`,
      port: PGBACKREST_PORT,
      tls: c.tls,
      config: c.hostConfig ?? REPOSITORY_CONFIG,
    };
  const address = {
    endpoint: store.endpoint,
    path: store.prefix,
    ...(store.port === undefined ? {} : { port: store.port }),
    ...(store.ca ? { caFile: file(store.ca, 'ca.crt') } : {}),
  };
  switch (store.kind) {
    case 's3': {
      const { credentials: keys } = store;
      return {
        kind: 's3',
        ...address,
        bucket: store.bucket,
        region: store.region,
        uriStyle: store.uriStyle,
        ...(keys
          ? {
              keys: {
                id: line(keys.accessKeyId),
                secret: line(keys.secretAccessKey),
                ...(keys.sessionToken ? { token: line(keys.sessionToken) } : {}),
              },
            }
          : {}),
      };
    }
    case 'azure': {
      const { key, sasToken } = store.credentials;
      const secret = key ? line(key) : sasToken ? line(sasToken) : '';
      return {
        kind: 'azure',
        ...address,
        account: store.account,
        container: store.container,
        uriStyle: store.uriStyle,
        key: secret,
        keyType: key ? 'shared' : 'sas',
      };
    }
    case 'gcs':
      return {
        kind: 'gcs',
        ...address,
        bucket: store.bucket,
        ...(store.credentials ? { keyFile: file(store.credentials, 'key.json') } : {}),
      };
  }
}

/** What is kept of a repository, in pgBackRest's words. */
export function retentionOf({ retention }: Pick<EffectiveRepository, 'retention'>): BackrestRetention {
  const { full, differential, archive } = retention;
  return {
    ...(full?.days !== undefined ? { full: { days: full.days } } : {}),
    ...(full?.count !== undefined ? { full: { count: full.count } } : {}),
    ...(differential ? { differential: differential.count } : {}),
    ...(archive
      ? { archive: { count: archive.count, ...(archive.type ? { type: BACKUP_KINDS[archive.type] } : {}) } }
      : {}),
  };
}

/** Names of the Secrets that these repositories need. */
export function secretNames(backup: EffectiveBackup): string[] {
  return [...new Set(backup.repositories.flatMap((one) => repositorySecrets(one).map(({ name }) => name)))];
}

/** Options that every command of pgBackRest gets, wherever it runs. `folder`: where it keeps its locks. */
export function commonOptions(
  backup: Pick<EffectiveBackup, 'compression' | 'parallelism'>,
  folder: string,
): BackrestOptions {
  const { type, level } = backup.compression;
  return {
    'lock-path': `${folder}/lock`,
    // The one of its package belongs to another user: a restore would end there.
    'spool-path': `${folder}/spool`,
    'log-level-file': 'off',
    'process-max': backup.parallelism,
    'compress-type': type,
    ...(level === undefined || type === 'none' ? {} : { 'compress-level': level }),
    // Replicas run the archiver too, but hand nothing on: see archive.sh.
    'archive-mode-check': false,
    'start-fast': true,
    ...KEEP_ALIVE,
  };
}
