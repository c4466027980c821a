/** Writes the configurations of pgBackRest in an instance's pod. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type EffectiveBackup, names, PGBACKREST_PORT, REPLICATION_USER } from '@pgherd/api';
import {
  type BackrestOptions,
  type BackrestServer,
  renderBackrest,
  repositoryOptions,
  serverOptions,
  tlsServerOptions,
  writeDurable,
} from '@pgherd/postgres';
import { type Layout, tlsFiles } from '../database/layout.ts';
import { commonOptions, type ResolvedRepository } from './repositories.ts';

/** Files of a folder of configurations. */
export function backrestFiles(folder: string) {
  return {
    /** Every repository, as seen from here: for archive-push, archive-get, info, restore. */
    all: join(folder, 'pgbackrest.conf'),
    /** One repository alone: for what runs where it is, and for what is no concern of the others. */
    alone: (repository: number) => join(folder, 'files', `repository-${repository}.conf`),
    /** Of the TLS server. */
    server: join(folder, 'server.conf'),
    /** For what the TLS server starts here on behalf of others. */
    host: join(folder, 'host.conf'),
    secrets: join(folder, 'files'),
  };
}

export interface InstanceSetup {
  cluster: string;
  stanza: string;
  layout: Layout;
  folder: string;
  port: number;
  backup: EffectiveBackup;
  repositories: ResolvedRepository[];
  /** When WAL is archived: seconds that a store may take to answer, three times in all. */
  storeTimeoutS?: number;
}

/** So the name of a store that does not answer is known after a minute. */
const STORE_TIMEOUT_S = 20;

/** PostgreSQL of this pod, as pgBackRest sees it from here. */
export function localServer(layout: Layout, port: number): BackrestServer {
  return { path: layout.pgdata, port, socketDir: layout.sockets, user: 'postgres' };
}

/** The texts of all files, by path. Throws PostgresError `BadOption` for a secret that the format cannot hold. */
export function instanceFiles(s: InstanceSetup): Map<string, string> {
  const paths = backrestFiles(s.folder);
  const local = serverOptions(1, localServer(s.layout, s.port));
  const common = {
    ...commonOptions(s.backup, s.folder),
    'spool-path': join(s.layout.notes, 'spool'),
    'archive-async': true,
  };
  const config = (repositories: ResolvedRepository[]) => {
    const options = Object.assign({}, ...repositories.map((one) => repositoryOptions(one.repository)));
    return renderBackrest({
      global: { ...common, ...(options as BackrestOptions) },
      // PostgreSQL waits for each try, also when it stops.
      // Its background process has nowhere else to say what is wrong.
      'global:archive-push': {
        'archive-timeout': 30,
        'io-timeout': s.storeTimeoutS ?? STORE_TIMEOUT_S,
        'log-level-file': 'warn',
        'log-path': join(s.folder, 'log'),
      },
      [s.stanza]: local,
    });
  };
  const tls = tlsFiles(s.layout.tls);
  const server = tlsServerOptions({
    port: PGBACKREST_PORT,
    tls: { ca: tls.clientCa, cert: tls.serverCert, key: tls.serverKey },
    // The repository pod copies from here; so do other instances that write to an object store themselves.
    clients: { [names(s.cluster).backup]: '*', [REPLICATION_USER]: '*' },
  });
  return new Map([
    ...s.repositories.flatMap(({ files }) => [...files]),
    [paths.all, config(s.repositories)],
    ...s.repositories.map((one) => [paths.alone(one.repository.number), config([one])] as const),
    [paths.server, renderBackrest({ global: { ...server, 'log-level-file': 'off' } })],
    [paths.host, renderBackrest({ global: commonOptions(s.backup, s.folder) })],
  ]);
}

/** Writes files that only we may read; returns whether anything changed. Others in the folder of secrets go. */
export async function writeFiles(folder: string, files: Map<string, string>): Promise<boolean> {
  const { secrets } = backrestFiles(folder);
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  for (const name of ['lock', 'log']) await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  let changed = false;
  for (const [path, text] of files) changed = (await writeDurable(path, text, { sync: false })) || changed;
  for (const name of await readdir(secrets))
    if (!files.has(join(secrets, name))) await rm(join(secrets, name), { force: true });
  return changed;
}

/** Takes the configurations away: nothing is backed up any more. */
export async function removeFiles(folder: string): Promise<void> {
  const { all, server, host, secrets } = backrestFiles(folder);
  for (const path of [all, server, host, secrets]) await rm(path, { recursive: true, force: true });
}
