/** The proof of a backup for real: PostgreSQL, pgBackRest, and pages that are damaged. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  openPostgres,
  type Postgres,
  PostgresError,
  renderBackrest,
  repositoryOptions,
  runBackrest,
  serverOptions,
} from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder } from '@pgherd/postgres/testing';
import { openDatabase } from '../database/index.ts';
import type { RecoverSpec } from '../database/recover.ts';
import { testLayout, testSpec } from '../testing.ts';
import { lacking, Verification } from './verification.ts';

const folder = testFolder();
const source = join(folder, 'source');
const config = join(folder, 'pgbackrest.conf');
const pgdatas = [source];
const port = await freePort();
let pg: Postgres;
let stanza = '';
let serverArgs: string[] = [];

async function sql<T extends Record<string, unknown>>(text: string): Promise<T[]> {
  const session = await pg.session();
  try {
    return await session.query<T>(text);
  } finally {
    session.close();
  }
}

const backrest = (command: string, options = {}) =>
  runBackrest(command, { config, stanza, doing: command, options });

before(async () => {
  const repo = join(folder, 'repo');
  mkdirSync(repo);
  pg = await openPostgres({ pgdata: source, socketDir: join(folder, 's'), port, log: quiet });
  await pg.initdb({ dataChecksums: true });
  stanza = `demo-${(await pg.controlData()).systemID}`;
  const base = { 'log-path': folder, 'lock-path': join(folder, 'lock'), 'spool-path': join(folder, 'spool') };
  const place = repositoryOptions({ number: 1, place: { kind: 'folder', path: repo } });
  const server = serverOptions(1, { path: source, port, socketDir: join(folder, 's'), user: 'postgres' });
  writeFileSync(
    config,
    renderBackrest({ global: { ...base, ...place, 'start-fast': true }, [stanza]: server }),
  );
  const push = `pgbackrest --config=${config} --stanza=${stanza} --log-level-console=off --log-level-file=off archive-push %p`;
  serverArgs = [
    `port=${port}`,
    `unix_socket_directories=${join(folder, 's')}`,
    'listen_addresses=',
    'archive_mode=on',
    `archive_command=${push}`,
  ].flatMap((each) => ['-c', each]);
  await pg.start({ args: serverArgs });
  await backrest('stanza-create');
  await sql('create table orders as select i, repeat($$x$$, 100) as words from generate_series(1, 2000) i');
  await sql('create unlogged table scratch as select 1 as i');
  await sql('select lo_from_bytea(0, $$large$$)');
  await backrest('backup', { type: 'full' });
});

after(async () => {
  await pg.die().catch(() => undefined);
  killAllIn(...pgdatas);
});

/** Restores a backup (default: the newest) and looks at it. */
async function verified(name: string, tables: string[] = [], backup?: string) {
  const port = await freePort();
  const layout = testLayout(folder, name);
  pgdatas.push(layout.pgdata);
  const database = await openDatabase({
    instance: name,
    cluster: 'demo',
    layout,
    port,
    listenAddresses: '127.0.0.1',
    serverName: 'demo-rw',
    log: quiet,
  });
  await database.applySettings(testSpec());
  const verification = new Verification(database, { pgdata: layout.pgdata, sockets: layout.sockets, port });
  const spec: RecoverSpec = {
    id: name,
    access: { config, repository: 1 },
    owner: { cluster: 'demo' },
    target: { immediate: true, ...(backup ? { backup } : {}) },
    newest: true,
    processes: 2,
  };
  try {
    await verification.run(async () => spec, tables, 'postgres');
  } finally {
    await database.die();
  }
  return verification.answer();
}

test('a good backup: tables, rows and pages', async () => {
  const { phase, error, found } = await verified('good', ['orders', 'postgres.public.scratch']);
  assert.equal(phase, 'done', error);
  assert.equal(found['rows of orders'], '2000');
  assert.equal(found['rows of postgres.public.scratch'], '0', 'what is not logged is emptied by a recovery');
  assert.match(found.checksums ?? '', /^\d+ pages, every checksum is right$/);
  assert.equal(found.amcheck, 'no damage in any table or index');
});

test('a table that is not there is named', async () => {
  const { phase, error, found, lacksTable } = await verified('no-table', [
    'nowhere',
    'no.such.orders',
    'orders',
  ]);
  assert.equal(phase, 'failed');
  assert.ok(lacksTable, 'it is taken for a bad backup');
  assert.match(
    error ?? '',
    /no table nowhere in schema public of database postgres, and none orders in schema such/,
  );
  assert.equal(found['rows of orders'], '2000');
  assert.ok(found.checksums, 'pages were not looked at');
});

test('a damaged page: the newest backup is looked at all the same, and the table is named', async () => {
  const [path] = await sql<{ file: string }>(`select pg_relation_filepath('orders') as file`);
  await sql('checkpoint');
  await pg.stop({ fastMs: 10_000, immediateMs: 1000 });
  const file = openSync(join(source, path!.file), 'r+');
  writeSync(file, 'rubbish', 8192 + 4000);
  closeSync(file);
  await pg.start({ args: serverArgs });
  const lines: string[] = [];
  await runBackrest('backup', {
    config,
    stanza,
    doing: 'backup',
    options: { type: 'full' },
    onLine: (line) => lines.push(line),
  });
  assert.ok(
    lines.some((line) => /invalid page checksum/.test(line)),
    lines.join('\n'),
  );
  const labels = readdirSync(join(folder, 'repo', 'backup', stanza))
    .filter((name) => /F$/.test(name))
    .sort();
  const { phase, error, found } = await verified('damaged');
  assert.equal(found.backup, labels.at(-1));
  assert.equal(phase, 'failed');
  assert.match(error ?? '', /pg_amcheck .*heap table "postgres\.public\.orders".*invalid page in block 1/);
  const older = await verified('older', [], labels[0]);
  assert.equal(older.phase, 'done', older.error);
});

test('an image without the extension amcheck says nothing about the backup', () => {
  const failed = (...output: string[]) => new PostgresError('ToolFailed', 'pg_amcheck', { output });
  const told = 'pg_amcheck: error: query failed: ERROR:  extension "amcheck" is not available';
  assert.match(lacking(failed(told)) ?? '', /amcheck/);
  assert.equal(lacking(new PostgresError('BinariesMissing', 'no such file')), 'pg_amcheck');
  assert.equal(lacking(failed('heap table "postgres.public.orders", block 1: damaged')), undefined);
  assert.equal(lacking(new Error('other')), undefined);
});
