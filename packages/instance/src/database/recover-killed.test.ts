/**
 * kill -9 of what takes part in a recovery: of pgBackRest and its processes, of PostgreSQL, of pg_basebackup and its
 * source, and of the manager with all that it started, as the guard does it. It ends with words, nothing half restored
 * can be opened, and the next try comes to the end.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  conninfo,
  openPostgres,
  type Postgres,
  renderBackrest,
  repositoryOptions,
  runBackrest,
  serverOptions,
} from '@pgherd/postgres';
import {
  freePort,
  killAllIn,
  killIfThere,
  postmasterOf,
  processesWith,
  quiet,
  testFolder,
  until,
} from '@pgherd/postgres/testing';
import { testLayout, testSpec } from '../testing.ts';
import { type Database, openDatabase } from './index.ts';
import type { Layout } from './layout.ts';
import type { CloneSpec, RecoverSpec } from './recover.ts';

const PATIENCE_MS = 60_000;
const ROWS = 1000;
const FILES = 4;
const STOP = { fastMs: 10_000, immediateMs: 1000 };
const folder = testFolder();
const port = await freePort();
const source = { path: join(folder, 'source'), port, socketDir: join(folder, 's'), user: 'postgres' };
const config = join(folder, 'pgbackrest.conf');
const pgdatas = [source.path];
let pg: Postgres;
let stanza = '';

const startSource = () =>
  pg.start({
    args: [
      `port=${port}`,
      `unix_socket_directories=${source.socketDir}`,
      'listen_addresses=',
      'archive_mode=on',
      `archive_command=pgbackrest --config=${config} --stanza=${stanza} --log-level-console=off archive-push %p`,
      'wal_level=logical',
    ].flatMap((each) => ['-c', each]),
  });

before(async () => {
  const repository = join(folder, 'repository');
  mkdirSync(repository);
  pg = await openPostgres({ pgdata: source.path, socketDir: source.socketDir, port, log: quiet });
  await pg.initdb({ dataChecksums: true });
  stanza = `demo-${(await pg.controlData()).systemID}`;
  const place = repositoryOptions({ number: 1, place: { kind: 'folder', path: repository } });
  const global = {
    'lock-path': join(folder, 'lock'),
    'spool-path': join(folder, 'spool'),
    'log-level-file': 'off',
    'compress-type': 'none',
    'start-fast': true,
    ...place,
  };
  writeFileSync(config, renderBackrest({ global, [stanza]: serverOptions(1, source) }));
  await startSource();
  const backrest = (command: string, options = {}) =>
    runBackrest(command, { config, stanza, doing: command, options });
  await backrest('stanza-create');
  const session = await pg.session();
  await session.query('create table t (i int, b text)');
  await session.query(`alter table t alter b set storage external`);
  await backrest('backup', { type: 'full' });
  // Some WAL files to be replayed, so that there is a middle of it.
  let last = '';
  for (let file = 0; file < FILES; file++) {
    await session.query(
      `insert into t select i, repeat(md5(i::text), 200) from generate_series(1, ${ROWS}) i`,
    );
    const [row] = await session.query('select pg_walfile_name(pg_switch_wal()) as file');
    last = String(row!.file);
  }
  await until(
    'the archive to have all',
    async () => {
      const [now] = await session.query('select last_archived_wal as file from pg_stat_archiver');
      return String(now!.file) >= last;
    },
    PATIENCE_MS,
  );
  session.close();
});

after(async () => {
  await pg.die().catch(() => undefined);
  killAllIn(...pgdatas);
});

interface Place {
  layout: Layout;
  /** A manager that knows nothing but what lies on the volume. */
  open(): Promise<Database>;
}

function place(name: string): Place {
  const layout = testLayout(folder, name);
  pgdatas.push(layout.pgdata);
  return {
    layout,
    async open() {
      const database = await openDatabase({
        instance: 'demo-1',
        cluster: 'demo',
        layout,
        port: await freePort(),
        listenAddresses: '127.0.0.1',
        serverName: 'demo-rw',
        log: quiet,
      });
      await database.applySettings(testSpec());
      return database;
    },
  };
}

const fromBackup: RecoverSpec = {
  id: 'restore',
  access: { config, repository: 1 },
  owner: { cluster: 'demo' },
  target: {},
  processes: 2,
};
const live: CloneSpec = {
  id: 'clone',
  sourceName: 'demo',
  source: conninfo({ host: source.socketDir, port, user: 'postgres' }),
};

interface Kill {
  /** Whom: numbers of processes, none while it is not their time yet. */
  victims(): number[];
  says: RegExp;
}

/** Tries, kills in the middle, and finds nothing that could be opened. */
async function killed(database: Database, spec: RecoverSpec | CloneSpec, { victims, says }: Kill) {
  const recovering = database.recover(spec);
  let ended = false;
  const end = () => {
    ended = true;
  };
  recovering.then(end, end);
  // One that is seen may end by itself before it is killed: then it is the next one's turn.
  const shot = () => {
    victims().forEach(killIfThere);
    return ended;
  };
  await until('it to end', shot, PATIENCE_MS);
  await assert.rejects(recovering, ({ message, hint = '' }: Error & { hint?: string }) => {
    assert.match(`${message} (${hint})`, says);
    return true;
  });
  assert.equal((await database.observe()).data, 'empty');
  await assert.rejects(database.claim(), { code: 'NotUnclaimed' });
}

async function comesToTheEnd(database: Database, spec: RecoverSpec | CloneSpec): Promise<void> {
  await database.recover(spec);
  await database.claim();
  await database.startPrimary({ syncNames: '' });
  const [row] = await database.read((query) => query<{ n: string }>('select count(*) as n from public.t'));
  assert.equal(Number(row!.n), FILES * ROWS);
  await database.stop(STOP);
}

const files = (pgdata: string) => {
  try {
    return readdirSync(pgdata, { recursive: true }).length;
  } catch {
    return 0;
  }
};
/** Once some of the data has come. */
const amidCopy = (pgdata: string, victims: () => number[]) => () => (files(pgdata) > 50 ? victims() : []);
const restoring = (pgdata: string, ...more: string[]) =>
  amidCopy(pgdata, () => processesWith('pgbackrest', `--pg1-path=${pgdata}`, 'restore', ...more));
const fetching = (pgdata: string) => () => processesWith('pgbackrest', `--pg1-path=${pgdata}`, 'archive-get');
const server = (pgdata: string) => () => [postmasterOf(pgdata)].filter((pid) => pid > 1);

describe('a restore', () => {
  test('pgBackRest, one of its processes, its fetching of WAL, and PostgreSQL are killed', async () => {
    const { open, layout } = place('restore');
    const { pgdata } = layout;
    const database = await open();
    const cells: Kill[] = [
      { victims: restoring(pgdata), says: /restoring the backup .*(SIGKILL|has ended)/ },
      { victims: restoring(pgdata, 'restore:local'), says: /restoring the backup .*has ended/ },
      { victims: fetching(pgdata), says: /replaying WAL after the backup/ },
      { victims: server(pgdata), says: /replaying WAL after the backup/ },
    ];
    for (const cell of cells) await killed(database, fromBackup, cell);
    await comesToTheEnd(database, fromBackup);
  });

  test('the manager is killed, and all with it, while it copies and while it replays', async () => {
    const { open, layout } = place('restore-manager');
    const { pgdata } = layout;
    const everything = () => [...processesWith('pgbackrest', `--pg1-path=${pgdata}`), ...server(pgdata)()];
    for (const amid of [restoring(pgdata), fetching(pgdata)]) {
      const victims = () => (amid().length > 0 ? everything() : []);
      await killed(await open(), fromBackup, { victims, says: /restoring the backup|replaying WAL/ });
    }
    await comesToTheEnd(await open(), fromBackup);
  });
});

describe('a live clone', () => {
  test('pg_basebackup, the source, and PostgreSQL are killed', async () => {
    const { open, layout } = place('clone');
    const { pgdata } = layout;
    const database = await open();
    const copying = amidCopy(pgdata, () => processesWith('pg_basebackup', pgdata));
    const theSource = amidCopy(pgdata, server(source.path));
    await killed(database, live, { victims: copying, says: /copying demo .*SIGKILL/ });
    await killed(database, live, { victims: theSource, says: /copying demo / });
    await pg.die();
    await startSource();
    await killed(database, live, { victims: server(pgdata), says: /starting PostgreSQL|SIGKILL|ended/ });
    await comesToTheEnd(database, live);
  });

  test('the manager is killed, and all with it', async () => {
    const { open, layout } = place('clone-manager');
    const { pgdata } = layout;
    const victims = amidCopy(pgdata, () => processesWith('pg_basebackup', pgdata));
    await killed(await open(), live, { victims, says: /copying demo / });
    await comesToTheEnd(await open(), live);
  });
});
