/** The configurations of pgBackRest in the repository pod. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CERTIFICATE_MOUNT,
  FOREIGN,
  instanceHost,
  PASSPHRASE_MOUNT,
  PGBACKREST_PORT,
  POSTGRES_PORT,
  REPLICATION_USER,
  REPOSITORY_MOUNT,
  type RepositorySettings,
} from '@pgherd/api';
import {
  type BackrestOptions,
  type BackrestServer,
  type HostTls,
  renderBackrest,
  repositoryOptions,
  tlsServerOptions,
} from '@pgherd/postgres';
import { commonOptions, FOREIGN_CONFIG, REPOSITORY_CONFIG, retentionOf } from '../backup/repositories.ts';
import { backrestFiles } from '../backup/setup.ts';

/** Folder of everything we write; it is in memory. */
export const FOLDER = '/run/pgherd/pgbackrest';
/** PostgreSQL in the pods of instances. */
const DATA = { path: '/var/lib/postgresql/data/pgdata', socketDir: '/run/postgresql', user: 'postgres' };

export interface CertificateTexts {
  /** What verifies the instances, as clients and as servers. */
  clientCa: string;
  serverCert: string;
  serverKey: string;
}

/** The certificate as it is mounted now. Throws when a part is missing. */
export function readCertificate(folder: string = CERTIFICATE_MOUNT): CertificateTexts {
  const text = (name: string) => readFileSync(join(folder, name), 'utf8');
  return { clientCa: text('ca.crt'), serverCert: text('tls.crt'), serverKey: text('tls.key') };
}

/** Copies of the certificate: pgBackRest takes a key only from a file that nobody else can read. */
function certificatePaths(): HostTls {
  const folder = join(FOLDER, 'files');
  return { ca: join(folder, 'ca.crt'), cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
}

/** An instance, as it is reached from the repository pod. */
export function instanceServer(settings: RepositorySettings, instance: string): BackrestServer {
  return {
    ...DATA,
    port: POSTGRES_PORT,
    host: {
      host: instanceHost(settings.cluster, settings.namespace, instance),
      port: PGBACKREST_PORT,
      tls: certificatePaths(),
      config: backrestFiles(FOLDER).host,
    },
  };
}

/** The texts of all files, by path. `passphrase`: that of a repository, by its name. */
export function repositoryFiles(
  settings: RepositorySettings,
  certificate: CertificateTexts,
  passphrase: (repository: string) => string = readPassphrase,
): Map<string, string> {
  const common = commonOptions(settings, FOLDER);
  const repositories = settings.repositories.map(({ name, number, encrypted, retention }) => {
    const repository = {
      number,
      place: { kind: 'folder' as const, path: join(REPOSITORY_MOUNT, name, 'pgbackrest') },
      ...(encrypted ? { passphrase: passphrase(name) } : {}),
      retention: retentionOf({ retention }),
    };
    return { number, options: repositoryOptions(repository) };
  });
  const config = (options: BackrestOptions[]) =>
    renderBackrest({ global: Object.assign({}, common, ...options) as BackrestOptions });
  const foreign = settings.foreign && foreignConfig(settings, settings.foreign.encrypted, passphrase);
  const tls = certificatePaths();
  const server = tlsServerOptions({ port: PGBACKREST_PORT, tls, clients: { [REPLICATION_USER]: '*' } });
  return new Map([
    [tls.ca, certificate.clientCa],
    [tls.cert, certificate.serverCert],
    [tls.key, certificate.serverKey],
    [REPOSITORY_CONFIG, config(repositories.map(({ options }) => options))],
    ...repositories.map(
      ({ number, options }) => [backrestFiles(FOLDER).alone(number), config([options])] as const,
    ),
    ...(foreign ? [[FOREIGN_CONFIG, foreign] as const] : []),
    [backrestFiles(FOLDER).server, renderBackrest({ global: { ...server, 'log-level-file': 'off' } })],
  ]);
}

function foreignConfig(
  settings: RepositorySettings,
  encrypted: boolean,
  passphrase: (repository: string) => string,
): string {
  const repository = {
    number: 1,
    place: { kind: 'folder' as const, path: join(REPOSITORY_MOUNT, FOREIGN, 'pgbackrest') },
    ...(encrypted ? { passphrase: passphrase(FOREIGN) } : {}),
  };
  return renderBackrest({ global: { ...commonOptions(settings, FOLDER), ...repositoryOptions(repository) } });
}

function readPassphrase(repository: string): string {
  return readFileSync(join(PASSPHRASE_MOUNT, repository, 'passphrase'), 'utf8').replace(/\r?\n$/, '');
}
