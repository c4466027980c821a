/** Recoveries for real: PostgreSQL, pgBackRest, and a repository in a folder. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  openPostgres,
  type Postgres,
  type RecoveryTarget,
  renderBackrest,
  repositoryOptions,
  runBackrest,
  serverOptions,
} from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { testLayout, testSpec } from '../testing.ts';
import { type Database, openDatabase } from './index.ts';
import type { Layout } from './layout.ts';
import type { RecoverSpec } from './recover.ts';

const folder = testFolder();
const port = await freePort();
const source = join(folder, 'source');
const repo = join(folder, 'repo');
const config = join(folder, 'pgbackrest.conf');
const pgdatas = [source];
const STOP = { fastMs: 10_000, immediateMs: 1000 };
let stanza = '';
let pg: Postgres;
let archive = '';
/** Moments, as PostgreSQL says them, and the rows that were there. */
const times: Record<string, string> = {};
let xid = '';
let firstXid = '';
let lsn = '';
let number = 0;

async function sql(text: string): Promise<Record<string, unknown>[]> {
  const session = await pg.session();
  try {
    return await session.query(text);
  } finally {
    session.close();
  }
}

const moment = async (name: string) => {
  await sleep(30);
  const [row] = await sql(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' as t`,
  );
  times[name] = row!.t as string;
  await sleep(30);
};

const timeTarget = (name: string): RecoveryTarget => ({
  time: { ms: Date.parse(times[name]!.replace(' ', 'T').replace('+00', 'Z')), text: times[name]! },
});

function writeConfig(): void {
  const base = { 'log-path': folder, 'lock-path': join(folder, 'lock'), 'spool-path': join(folder, 'spool') };
  const place = repositoryOptions({ number: 1, place: { kind: 'folder', path: repo } });
  const server = serverOptions(1, { path: source, port, socketDir: join(folder, 's'), user: 'postgres' });
  const sections = {
    global: { ...base, ...place, 'start-fast': true },
    ...(stanza ? { [stanza]: server } : {}),
  };
  writeFileSync(config, renderBackrest(sections));
}

const backrest = (command: string, options = {}) =>
  runBackrest(command, { config, stanza, doing: command, options });

before(async () => {
  mkdirSync(repo);
  pg = await openPostgres({ pgdata: source, socketDir: join(folder, 's'), port, log: quiet });
  await pg.initdb({ dataChecksums: true });
  stanza = `demo-${(await pg.controlData()).systemID}`;
  writeConfig();
  const push = `pgbackrest --config=${config} --stanza=${stanza} --log-level-console=off --log-level-file=off archive-push %p`;
  const args = [
    `port=${port}`,
    `unix_socket_directories=${join(folder, 's')}`,
    'listen_addresses=',
    'archive_mode=on',
    `archive_command=${push}`,
    'wal_level=logical',
  ];
  await pg.start({ args: args.flatMap((each) => ['-c', each]) });
  await backrest('stanza-create');
  await backrest('backup', { type: 'full' });
  // pgBackRest knows whole seconds: the first moment comes surely after the backup.
  await sleep(1100);
  await sql('create table t (i int)');
  firstXid = String((await sql('insert into t values (1) returning txid_current() as x'))[0]!.x);
  await moment('one');
  await sql('insert into t values (2)');
  await moment('two');
  xid = String((await sql('select txid_current() as x'))[0]!.x);
  await backrest('backup', { type: 'full' });
  await sql('insert into t values (3)');
  lsn = String((await sql('select pg_current_wal_lsn()::text as l'))[0]!.l);
  await sql(`select pg_create_restore_point('here')`);
  await sql('insert into t values (4)');
  await moment('four');
  await sql('select pg_switch_wal()');
  archive = join(repo, 'archive', stanza, '15-1', '0000000100000000');
  const [last] = await sql('select pg_walfile_name(pg_current_wal_lsn()) as f');
  await until(
    'the archive to have all',
    () => readdirSync(archive).length >= Number.parseInt(String(last!.f).slice(-2), 16) - 1,
  );
});

after(async () => {
  await pg.die().catch(() => undefined);
  killAllIn(...pgdatas);
});

interface Target {
  database: Database;
  layout: Layout;
}

async function place(name: string, wal = false): Promise<Target> {
  const layout = testLayout(folder, name, wal);
  pgdatas.push(layout.pgdata);
  const database = await open(layout);
  await database.applySettings(testSpec());
  return { database, layout };
}

async function open(layout: Layout): Promise<Database> {
  return openDatabase({
    instance: 'demo-1',
    cluster: 'demo',
    layout,
    port: await freePort(),
    listenAddresses: '127.0.0.1',
    serverName: 'demo-rw',
    log: quiet,
  });
}

const spec = (target: RecoveryTarget, more: Partial<RecoverSpec> = {}): RecoverSpec => ({
  id: 'test',
  access: { config, repository: 1 },
  owner: { cluster: 'demo' },
  target,
  processes: 2,
  ...more,
});

/** Recovers, opens as the instance would, and returns the rows. */
async function rowsAfter(target: RecoveryTarget, wal = false) {
  const { database } = await place(`t${++number}`, wal);
  await database.recover(spec(target));
  assert.equal((await database.observe()).data, 'unclaimed');
  await database.claim();
  await database.startPrimary({ syncNames: '' });
  const { recovered } = await database.observe();
  try {
    const rows = await database.read((query) => query<{ i: number }>('select i from public.t order by i'));
    return { rows: rows.map(({ i }) => i), recovered: recovered! };
  } finally {
    await database.stop(STOP);
  }
}

test('to a time: the row before it, none after it, and what was reached is told', async () => {
  const { rows, recovered } = await rowsAfter(timeTarget('one'));
  assert.deepEqual(rows, [1]);
  assert.equal(recovered.timeline, 2);
  assert.match(recovered.stopped ?? '', /^recovery stopping before commit of transaction \d+, time/);
  assert.ok(Date.parse(recovered.time!) <= timeTarget('one').time!.ms);
  assert.equal(recovered.xid, firstXid);
});

test('to a later time, from the same first backup', async () => {
  const { rows, recovered } = await rowsAfter(timeTarget('two'), true);
  assert.deepEqual(rows, [1, 2]);
  assert.match(recovered.backup, /F$/);
});

test('to the end', async () => {
  const { rows, recovered } = await rowsAfter({});
  assert.deepEqual(rows, [1, 2, 3, 4]);
  assert.equal(recovered.stopped, undefined);
});

test('to a time after the last transaction', async () => {
  const { rows, recovered } = await rowsAfter(timeTarget('four'));
  assert.deepEqual(rows, [1, 2, 3, 4]);
  assert.match(recovered.stopped ?? '', /archive has no transaction between .* it does not tell/);
});

test('a time after the last transaction is no target where that has to be proven', async () => {
  const { database } = await place('unproven');
  await assert.rejects(database.recover(spec(timeTarget('four'), { needsProof: true })), {
    code: 'RecoveryFailed',
    message: /ended before .* nothing tells: without a target, all that the archive has is restored/,
  });
});

test('to a transaction, an LSN, a restore point, the end of a backup', async () => {
  assert.deepEqual((await rowsAfter({ xid })).rows, [1, 2]);
  assert.deepEqual((await rowsAfter({ lsn })).rows, [1, 2, 3]);
  assert.deepEqual((await rowsAfter({ name: 'here' })).rows, [1, 2, 3]);
  assert.deepEqual((await rowsAfter({ immediate: true })).rows, [1, 2]);
});

test('settings that PostgreSQL refuses do not keep clients out of what was restored', async () => {
  const { database: before, layout } = await place('refused-settings');
  await before.recover(spec({ immediate: true }));
  mkdirSync(layout.run, { recursive: true });
  // Another manager, that has never seen other settings.
  const database = await open(layout);
  const refused = testSpec({ shared_preload_libraries: ['no_such_library'] });
  await assert.rejects(database.applySettings(refused), { code: 'BadSettings' });
  await database.claim();
  await database.startPrimary({ syncNames: '' });
  await database.stop(STOP);
  assert.match(readFileSync(join(layout.pgdata, 'pg_hba.conf'), 'utf8'), /hostssl +all +all .*scram-sha-256/);
});

test('what cannot be reached is refused, with the window, and not tried again', async () => {
  const { database } = await place('refused');
  const past = { time: { ms: 0, text: '1970-01-01 00:00:00+00' } };
  for (const _ of [1, 2])
    await assert.rejects(database.recover(spec(past)), {
      code: 'RecoveryFailed',
      message: /before the end of the first backup; recoverable from .* to /,
    });
  await assert.rejects(database.recover(spec({ xid: '99999999' }, { id: 'another' })), {
    code: 'RecoveryFailed',
    message: /recovery ended before transaction 99999999 was reached: .*is not in the archive/,
  });
  assert.equal((await database.observe()).data, 'empty');
  await assert.rejects(database.recover(spec({}, { id: 'no', owner: { cluster: 'other' } })), /none of them/);
});

/** With a file of the repository changed, and put back. */
async function withFile(
  path: string,
  change: (path: string) => void,
  run: () => Promise<void>,
): Promise<void> {
  const saved = readFileSync(path);
  change(path);
  try {
    await run();
  } finally {
    writeFileSync(path, saved);
  }
}

test('a WAL file that is missing is named, with and without a target', async () => {
  const { database } = await place('gap');
  const file = join(archive, readdirSync(archive).find((name) => /^000000010000000000000003-/.test(name))!);
  await withFile(
    file,
    (path) => renameSync(path, join(folder, 'aside')),
    async () => {
      const first = readdirSync(join(repo, 'backup', stanza)).find((name) => /F$/.test(name))!;
      for (const target of [{ backup: first }, { ...timeTarget('four'), backup: first }])
        await assert.rejects(database.recover(spec(target, { id: JSON.stringify(target) })), {
          code: 'RecoveryFailed',
          message: /000000010000000000000003 is missing in the archive/,
        });
    },
  );
});

test('a WAL file that is damaged is not taken for the end of the archive', async () => {
  const { database } = await place('damaged-wal');
  const names = readdirSync(archive)
    .filter((name) => /^[0-9A-F]{24}-/.test(name))
    .sort();
  await withFile(
    join(archive, names.at(-1)!),
    (path) => writeFileSync(path, 'rubbish'),
    () =>
      assert.rejects(database.recover(spec({})), /although the archive goes on to 0000000100000000000000/),
  );
});

test('a damaged file of a backup is named', async () => {
  const { database } = await place('damaged-backup');
  const label = readdirSync(join(repo, 'backup', stanza))
    .filter((name) => /F$/.test(name))
    .sort()
    .at(-1)!;
  const base = join(repo, 'backup', stanza, label, 'pg_data', 'base', '1');
  const file = join(base, readdirSync(base).find((name) => name.startsWith('1255'))!);
  const damage = (path: string) => {
    const content = readFileSync(path);
    const middle = Math.floor(content.length / 2);
    content.fill(0, middle, middle + 64);
    writeFileSync(path, content);
  };
  await withFile(file, damage, () =>
    assert.rejects(database.recover(spec({ immediate: true })), {
      code: 'RecoveryFailed',
      message: /base\/1\/1255/,
    }),
  );
});

test('what is killed in the middle is gone on with', async () => {
  const { database, layout } = await place('killed');
  const recovering = database.recover(spec({}));
  recovering.catch(() => undefined);
  await until(
    'the restore to have begun',
    () => existsSync(layout.pgdata) && readdirSync(layout.pgdata, { recursive: true }).length > 50,
    20_000,
  );
  await database.die();
  await assert.rejects(recovering);
  assert.equal((await database.observe()).data, 'empty');
  const replaying = database.recover(spec({}));
  replaying.catch(() => undefined);
  await until(
    'the replay to have begun',
    () => database.progress()?.doing.startsWith('replays') === true,
    20_000,
  );
  const pid = () => Number(readFileSync(join(layout.pgdata, 'postmaster.pid'), 'utf8').split('\n')[0]);
  await until(
    'the server to run',
    () => existsSync(join(layout.pgdata, 'postmaster.pid')) && pid() > 1,
    20_000,
  );
  process.kill(pid(), 'SIGKILL');
  await assert.rejects(replaying);
  assert.equal((await database.observe()).data, 'empty');
  await database.recover(spec({}));
  await database.claim();
  await database.startPrimary({ syncNames: '' });
  assert.equal((await database.read((query) => query('select i from public.t'))).length, 4);
  await database.stop(STOP);
});
