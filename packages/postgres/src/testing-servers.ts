/** Servers for the tests of this package: primaries and standbys that reach each other by Unix sockets. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { conninfo, logSettings, openPostgres, type Postgres, type Session, type Settings } from './index.ts';
import { freePort, killAllIn, quiet, testFolder, until } from './testing.ts';

export class TestServers {
  readonly folder = testFolder();
  readonly #open: Postgres[] = [];
  readonly #sessions: Session[] = [];

  make = async (name: string, walDir = false): Promise<Postgres> => {
    const pg = await openPostgres({
      pgdata: join(this.folder, name, 'data'),
      ...(walDir ? { walDir: join(this.folder, name, 'wal', 'pg_wal') } : {}),
      socketDir: join(this.folder, name),
      port: await freePort(),
      log: quiet,
    });
    mkdirSync(join(this.folder, name, 'wal'), { recursive: true });
    this.#open.push(pg);
    return pg;
  };

  settings = (pg: Postgres): Settings => ({
    ...logSettings,
    listen_addresses: '',
    unix_socket_directories: pg.options.socketDir,
    port: String(pg.options.port),
    shared_buffers: '8MB',
    wal_retrieve_retry_interval: '100ms',
    wal_keep_size: '128MB',
    wal_log_hints: 'on',
  });

  upstream = (pg: Postgres, name: string): string =>
    conninfo({ host: pg.options.socketDir, port: pg.options.port, user: 'postgres', application_name: name });

  session = async (pg: Postgres): Promise<Session> => {
    const opened = await pg.session();
    this.#sessions.push(opened);
    return opened;
  };

  startPrimary = async (pg: Postgres, names = ''): Promise<void> => {
    await pg.writeSettings(this.settings(pg));
    await pg.writeRole({ standby: false, primaryConninfo: '', synchronousStandbyNames: names });
    await pg.start();
  };

  startStandby = async (pg: Postgres, from: Postgres, name: string): Promise<void> => {
    await pg.writeSettings(this.settings(pg));
    await pg.writeRole({
      standby: true,
      primaryConninfo: this.upstream(from, name),
      synchronousStandbyNames: '',
    });
    await pg.start();
  };

  /** Resolves once a standby of this name streams from the primary. */
  streams = (primary: Session, name: string): Promise<void> =>
    until(`${name} to stream`, async () => {
      const rows = await primary.query(
        'select 1 from pg_stat_replication where application_name = $1 and state = $2',
        [name, 'streaming'],
      );
      return rows.length === 1;
    });

  /** For the after hook. */
  end = async (): Promise<void> => {
    for (const opened of this.#sessions) opened.close();
    for (const pg of this.#open) await pg.die();
    killAllIn(...this.#open.map((pg) => pg.pgdata));
  };
}
