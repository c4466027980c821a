/** A PostgreSQL that hangs, is taken up wholly, or does not want to end: noticed, and ended in bounded time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openSession, processesIn, type Session } from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { initialiseSpec } from '../bootstrap/plan.ts';
import { makeTls, testSpec } from '../testing.ts';
import { openDatabase } from './executor.ts';
import type { Layout } from './layout.ts';
import type { Database } from './types.ts';

const folder = testFolder();
const port = await freePort();
const layout: Layout = {
  pgdata: join(folder, 'data', 'pgdata'),
  notes: join(folder, 'data', 'pgherd'),
  sockets: join(folder, 's'),
  run: join(folder, 'run'),
  tls: join(folder, 'run', 'tls'),
};
const spec = testSpec({ parameters: { shared_buffers: '16MB', max_connections: '30' } });
const sessions: Session[] = [];
let database: Database;

const postmaster = () => Number(readFileSync(join(layout.pgdata, 'postmaster.pid'), 'utf8').split('\n')[0]);

async function connect(o: { user?: string } = {}): Promise<Session> {
  const { user = 'app' } = o;
  const session = await openSession({
    host: layout.sockets,
    port,
    user,
    database: user === 'app' ? 'app' : 'postgres',
    password: 'secret',
    connectTimeoutMs: 3000,
  });
  sessions.push(session);
  return session;
}

/** Runs, and fails when it took longer. */
async function within<T>(ms: number, run: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await run();
  const took = performance.now() - began;
  assert.ok(took < ms, `took ${took.toFixed(0)} ms`);
  return result;
}

async function running(): Promise<void> {
  if (database.view().process !== 'running') await database.startPrimary({ syncNames: '' });
  await until('SQL', async () => (await database.observe()).sqlReachable);
}

before(async () => {
  makeTls(layout.tls, ['demo-rw']);
  database = await openDatabase({
    instance: 'demo-1',
    cluster: 'demo',
    layout,
    port,
    listenAddresses: '127.0.0.1',
    serverName: 'demo-rw',
    log: quiet,
  });
  await database.applySettings(spec);
  await database.initialise(
    initialiseSpec(spec, {
      ownerPassword: 'secret',
      sql: { postInit: [], postInitApplication: [], postInitTemplate: [] },
    }),
  );
  await database.claim();
});

after(async () => {
  for (const session of sessions) session.close();
  await database.die().catch(() => undefined);
  killAllIn(layout.pgdata);
});

test('a postmaster that hangs is noticed, although open sessions go on', async () => {
  await running();
  assert.equal(database.view().silent, undefined);
  process.kill(postmaster(), 'SIGSTOP');
  await until('the silence', async () => (await database.observe()).silent === true);
  assert.equal(database.view().sqlReachable, true);
  await within(3000, () => database.stop({ fastMs: 300, immediateMs: 300 }));
  assert.deepEqual(processesIn(layout.pgdata), []);
});

test('a postmaster that hangs and goes on is silent no more', async () => {
  await running();
  process.kill(postmaster(), 'SIGSTOP');
  await until('the silence', async () => (await database.observe()).silent === true);
  process.kill(postmaster(), 'SIGCONT');
  await until('an answer', async () => (await database.observe()).silent === undefined);
});

test('when all processes hang, each look ends in time, and so does the stop', async () => {
  await running();
  for (const pid of processesIn(layout.pgdata)) {
    try {
      process.kill(pid, 'SIGSTOP');
    } catch {
      // One that lives for a moment only, such as the archiver's child.
    }
  }
  await within(3500, () => database.observe());
  await within(3500, () => database.observe());
  assert.equal(database.view().sqlReachable, false);
  assert.equal(database.view().silent, true);
  await within(3000, () => database.stop({ fastMs: 300, immediateMs: 300 }));
  assert.deepEqual(processesIn(layout.pgdata), []);
});

test('backends that hang hold up neither a look nor a stop', async () => {
  await running();
  await (await connect()).query('select 1');
  for (const pid of processesIn(layout.pgdata)) if (pid !== postmaster()) process.kill(pid, 'SIGSTOP');
  await until('a new session', async () => (await database.observe()).sqlReachable);
  assert.equal(database.view().silent, undefined);
  await within(3000, () => database.stop({ fastMs: 300, immediateMs: 300 }));
  assert.deepEqual(processesIn(layout.pgdata), []);
});

test('endless transactions do not hold up a stop', async () => {
  await running();
  const [idle, busy] = [await connect(), await connect()];
  await idle.query('begin');
  await idle.query('create table endless ()');
  void busy.query('do $$ begin loop perform 1; end loop; end $$', [], 60_000).catch(() => undefined);
  await until('the busy one', async () => {
    const rows = await database.read((query) =>
      query("select from pg_stat_activity where state = 'active' and query like 'do $$%'"),
    );
    return rows.length === 1;
  });
  await within(5000, () => database.stop({ fastMs: 4000, immediateMs: 500 }));
  assert.equal(database.view().controlState, 'shut down');
});

test('what a user sets for all roles does not reach our own sessions', async () => {
  await running();
  const postgres = await connect({ user: 'postgres' });
  const forAll = (what: string) => postgres.query(`alter role all ${what}`);
  await postgres.query(
    `create function public.pg_size_bytes(text) returns bigint language sql as 'select 1/0'`,
  );
  await postgres.query('alter database postgres set search_path = public, pg_catalog');
  await forAll(`set statement_timeout = '1ms'`);
  await forAll('set default_transaction_read_only = on');
  try {
    await database.ensureSlots(['demo-2']);
    await database.ensureSlots([]);
    await database.checkpoint();
    await database.ensureApplication(spec, { app: { username: 'app', password: 'another' } });
    await database.readyToStop(async () => undefined);
    assert.equal((await database.observe()).sqlReachable, true);
  } finally {
    await postgres.query(
      'begin read write; alter role all reset all; alter database postgres reset all; drop function public.pg_size_bytes(text); commit',
    );
  }
  await database.ensureApplication(spec, { app: { username: 'app', password: 'secret' } });
});

test('with every connection taken it is still looked at, configured and stopped', async () => {
  await running();
  const taken: Session[] = [];
  await assert.rejects(async () => {
    for (;;) taken.push(await connect());
  }, /too many clients|remaining connection slots/);
  assert.ok(taken.length > 20);
  assert.equal((await database.observe()).sqlReachable, true);
  await database.ensureSlots(['demo-2']);
  await database.setSync('');
  // The reserved ones too: who refuses is not silent.
  const before = (await database.observe()).observedAt;
  await assert.rejects(async () => {
    for (;;) await connect({ user: 'postgres' });
  }, /too many clients/);
  const view = await database.observe();
  assert.ok(view.observedAt > before);
  assert.equal(view.sqlReachable, true);
  assert.equal(view.silent, undefined);
  await within(5000, () => database.stop({ fastMs: 4000, immediateMs: 500 }));
  assert.equal(database.view().controlState, 'shut down');
});
