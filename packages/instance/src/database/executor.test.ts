import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { InstanceReport } from '@pgherd/api';
import { compareLsn, maxLsn, openPostgres, openSession, processesIn, type Session } from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { initialiseSpec } from '../bootstrap/plan.ts';
import { createMetrics } from '../server/metrics.ts';
import { copyTls, makeTls, testSpec } from '../testing.ts';
import { openDatabase } from './executor.ts';
import { type Layout, tlsFiles } from './layout.ts';
import type { Database, Upstream } from './types.ts';

const folder = testFolder();
const pgdatas: string[] = [];
const sessions: Session[] = [];
const databases = new Map<string, Database>();
const spec = testSpec(
  { pg_hba: ['hostssl app app samehost scram-sha-256'] },
  {
    database: 'app',
    postInitApplicationSQL: ['create table t (id int primary key)', 'alter table t owner to app'],
  },
);
const port = await freePort();
const signal = new AbortController().signal;
const STOP = { fastMs: 5000, immediateMs: 1000 };

const serial = (name: string) => Number(name.slice(-1));
/** The first has an IPv6 address where this machine has any, so that copies, streams and logins go by it. */
const first = networkInterfaces().lo?.some(({ family }) => family === 'IPv6') ? '::1' : '127.0.0.11';
const at = (name: string): Upstream => ({
  name,
  address: serial(name) === 1 ? first : `127.0.0.${10 + serial(name)}`,
});
const layoutOf = (name: string): Layout => ({
  pgdata: join(folder, name, 'pgdata'),
  ...(name === 'demo-2' ? { walDir: join(folder, name, 'wal', 'pg_wal') } : {}),
  notes: join(folder, name, 'pgherd'),
  sockets: join(folder, `s${serial(name)}`),
  run: join(folder, `run${serial(name)}`),
  tls: join(folder, `run${serial(name)}`, 'tls'),
});

async function open(name: string): Promise<Database> {
  const layout = layoutOf(name);
  pgdatas.push(layout.pgdata);
  const database = await openDatabase({
    instance: name,
    cluster: 'demo',
    layout,
    port,
    listenAddresses: at(name).address,
    serverName: 'demo-rw',
    log: quiet,
  });
  await database.applySettings(spec);
  databases.set(name, database);
  return database;
}

async function app(name: string, database = 'app'): Promise<Session> {
  const ca = readFileSync(tlsFiles(layoutOf(name).tls).ca, 'utf8');
  const session = await openSession({
    host: at(name).address,
    port,
    user: 'app',
    database,
    password: 'secret',
    tls: { ca, servername: 'demo-rw' },
  });
  sessions.push(session);
  return session;
}

const member = (name: string, upstream: string | null) => ({
  upstream: upstream === null ? null : at(upstream),
  applicationName: name,
});

const streams = (name: string) =>
  until(`${name} to stream`, async () => (await databases.get(name)!.observe()).streaming);

let one: Database;
let two: Database;
let three: Database;

before(async () => {
  makeTls(layoutOf('demo-1').tls, ['demo-rw', 'demo-r']);
  copyTls(layoutOf('demo-1').tls, layoutOf('demo-2').tls);
  copyTls(layoutOf('demo-1').tls, layoutOf('demo-3').tls);
  [one, two, three] = await Promise.all([open('demo-1'), open('demo-2'), open('demo-3')]);
});

after(async () => {
  for (const session of sessions) session.close();
  for (const database of databases.values()) await database.die().catch(() => undefined);
  killAllIn(...pgdatas);
});

test('an initialisation that fails in the user SQL says where and why, and leaves nothing', async () => {
  const bad = initialiseSpec(testSpec({}, { postInitSQL: ['select 1', 'select * from nowhere'] }), {
    ownerPassword: 'secret',
    sql: { postInit: [], postInitApplication: [], postInitTemplate: [] },
  });
  await assert.rejects(one.initialise(bad), (error: Error & { code: string }) => {
    assert.equal(error.code, 'BootstrapSQLFailed');
    assert.match(
      error.message,
      /postInitSQL\[1\] "select \* from nowhere": relation "nowhere" does not exist \(SQLSTATE 42P01\)/,
    );
    return true;
  });
  assert.equal(one.view().data, 'empty');
  assert.deepEqual(processesIn(layoutOf('demo-1').pgdata), []);
});

test('initialised, claimed and started, it takes writes of the application', async () => {
  assert.equal(one.view().data, 'empty');
  const { systemID } = await one.initialise(
    initialiseSpec(spec, {
      ownerPassword: 'secret',
      sql: { postInit: [], postInitApplication: [], postInitTemplate: [] },
    }),
  );
  assert.equal(one.view().data, 'unclaimed');
  assert.equal(one.view().systemID, systemID);
  assert.equal(one.view().process, 'stopped');
  await one.claim();
  assert.equal(one.view().data, 'present');
  await one.startPrimary({ syncNames: '' });
  assert.equal(one.view().inRecovery, false);
  await (await app('demo-1')).query('insert into t values (1)');
  await one.ensureSlots(['demo-1', 'demo-2', 'demo-3']);
});

test('two copy in parallel and stream', async () => {
  const incarnation = one.view().incarnation;
  await Promise.all([
    two.copy({ source: at('demo-1') }, signal),
    three.copy({ source: at('demo-1') }, signal),
  ]);
  assert.equal(two.view().data, 'present');
  assert.notEqual(two.view().incarnation, incarnation);
  assert.notEqual(two.view().incarnation, three.view().incarnation);
  await Promise.all([
    two.startStandby(member('demo-2.joining', 'demo-1')),
    three.startStandby(member('demo-3', 'demo-1')),
  ]);
  await Promise.all([streams('demo-2'), streams('demo-3')]);
  const { replication } = await one.observe();
  assert.deepEqual(
    replication.map((row) => row.name),
    ['demo-2.joining', 'demo-3'],
  );
  await two.follow(member('demo-2', 'demo-1'));
  await until('the name of a member', async () =>
    (await one.observe()).replication.some((row) => row.name === 'demo-2' && row.state === 'streaming'),
  );
});

test('with a rule in force, commits wait for a standby', async () => {
  await one.setSync('ANY 1 ("demo-2","demo-3")');
  const session = await app('demo-1');
  await session.query('insert into t values (2)');
  await one.setSync('ANY 1 ("nobody")');
  await assert.rejects(session.query('insert into t values (3)', [], 300), { code: 'SqlTimeout' });
  await one.setSync('ANY 1 ("demo-2","demo-3")');
  assert.equal(one.view().syncNames, 'ANY 1 ("demo-2","demo-3")');
});

test('a standby that is cut from its upstream has no receiver and knows all it has', async () => {
  await two.follow(member('demo-2', null));
  const view = await two.observe();
  assert.equal(view.receiverRunning, false);
  assert.ok(view.receivedLsn);
  await until('all to be replayed', async () => (await two.observe()).replayedAll === true);
});

test('for a promise all WAL is cut off, in and out, and stays so over restarts', async () => {
  await two.follow(member('demo-2', 'demo-1'));
  await streams('demo-2');
  await two.ensureSlots(['demo-1', 'demo-2', 'demo-3']);
  await three.follow(member('demo-3', 'demo-2'));
  await streams('demo-3');
  const session = await app('demo-1');
  await one.setSync('');
  const promise = { epoch: 3, version: '4711' };
  await two.cutWal(promise);
  assert.deepEqual(two.promised, promise);
  assert.equal(two.view().receiverRunning, false);
  const { receivedLsn, replayedLsn } = two.view();
  assert.ok(receivedLsn);
  // What is left of a segment after a switch counts as replayed with it, received or not.
  const all = maxLsn(receivedLsn, replayedLsn)!;
  await session.query('insert into t values (30)');
  // The cascaded standby may come again, but there is nothing new to be had.
  await two.stop(STOP);
  await two.startStandby({ upstream: null, applicationName: 'demo-2', sealed: true });
  await until('all to be replayed', async () => (await two.observe()).replayedAll === true);
  assert.equal(two.view().receiverRunning, false);
  assert.ok(compareLsn(two.view().replayedLsn!, all) <= 0);
  const again = await openDatabase({
    instance: 'demo-2',
    cluster: 'demo',
    layout: layoutOf('demo-2'),
    port,
    serverName: 'demo-rw',
    log: quiet,
  });
  assert.deepEqual(again.promised, promise);
  await two.follow(member('demo-2', 'demo-1'));
  await three.follow(member('demo-3', 'demo-1'));
  await Promise.all([streams('demo-2'), streams('demo-3')]);
  await one.setSync('ANY 1 ("demo-2","demo-3")');
});

const RULE_OF_TWO = 'ANY 1 ("demo-1","demo-3")';

test('before a switchover the segment is filled, the next one made, and the rule of the next primary in force', async () => {
  await two.follow({ ...member('demo-2', 'demo-1'), syncNames: RULE_OF_TWO });
  await streams('demo-2');
  assert.equal((await two.observe()).syncNames, RULE_OF_TWO);
  await (await app('demo-1')).query('insert into t values (31)');
  await one.readyToStop(async (checkpoint) => {
    await Promise.all([two.readyToTakeOver(checkpoint), three.readyToTakeOver(checkpoint)]);
  });
  const [place] = await one.read((query) =>
    query<{ left: number; next: string }>(
      `select (2^24 - mod(pg_current_wal_insert_lsn() - '0/0'::pg_lsn, 2^24::numeric))::int as left,
         pg_walfile_name(pg_current_wal_insert_lsn() + 2^24::numeric) as next`,
    ),
  );
  assert.ok(place!.left <= 512 * 1024, `${place!.left} bytes are left of the segment`);
  for (const name of ['demo-1', 'demo-2', 'demo-3'])
    assert.ok(existsSync(join(layoutOf(name).pgdata, 'pg_wal', place!.next)), `${name} lacks ${place!.next}`);
  await until('segments not to be filled any more', async () => {
    const [row] = await two.read((query) =>
      query<{ filled: string }>("select current_setting('wal_init_zero') as filled"),
    );
    return row!.filled === 'off';
  });
});

test('a switchover: old one stopped, new one promoted, the others follow', async () => {
  await one.stop(STOP);
  assert.equal(one.view().controlState, 'shut down');
  const begin = performance.now();
  const { timeline } = await two.promote({ syncNames: RULE_OF_TWO });
  const promoted = performance.now() - begin;
  assert.equal(timeline, 2);
  assert.ok(promoted < 1000, `promotion took ${promoted} ms`);
  assert.equal(two.view().syncNames, RULE_OF_TWO);
  await assert.rejects((await app('demo-2')).query('insert into t values (32)', [], 300), {
    code: 'SqlTimeout',
  });
  await two.ensureSlots(['demo-1', 'demo-2', 'demo-3']);
  await three.follow(member('demo-3', 'demo-2'));
  await one.startStandby(member('demo-1', 'demo-2'));
  await Promise.all([streams('demo-1'), streams('demo-3')]);
  await (await app('demo-2')).query('insert into t values (4)');
  await two.checkpoint();
  assert.equal((await one.observe()).timeline, 2);
});

test('killed while it wrote alone, the old primary is rewound and follows', async () => {
  await two.setSync('');
  await (await app('demo-2')).query('insert into t values (5)');
  await one.stop(STOP);
  await three.stop(STOP);
  await (await app('demo-2')).query('insert into t values (6)');
  const exits: boolean[] = [];
  two.onExit((info) => exits.push(info.expected));
  process.kill(
    Number(readFileSync(join(layoutOf('demo-2').pgdata, 'postmaster.pid'), 'utf8').split('\n')[0]),
    'SIGKILL',
  );
  await until('the exit', () => exits.length === 1);
  assert.deepEqual(exits, [false]);
  await two.die();
  assert.equal(two.view().process, 'stopped');
  assert.equal(two.view().controlState, 'in production');

  // Somebody starts it by hand: nothing can be written there, and it is known to be somebody's.
  const { pgdata, sockets } = layoutOf('demo-2');
  const { bin } = await openPostgres({ pgdata, socketDir: sockets, port, log: quiet });
  execFileSync(join(bin!, 'pg_ctl'), ['-D', pgdata, '-w', '-l', join(folder, 'by-hand'), 'start']);
  const byHand = await openSession({ host: sockets, port, user: 'postgres', database: 'postgres' });
  assert.deepEqual(await byHand.query('select pg_is_in_recovery() as standby'), [{ standby: true }]);
  byHand.close();
  await two.die();
  assert.deepEqual(processesIn(pgdata), []);

  await one.startStandby(member('demo-1', null));
  await until('all replayed', async () => (await one.observe()).replayedAll === true);
  assert.equal((await one.promote({ syncNames: '' })).timeline, 3);
  await one.ensureSlots(['demo-2', 'demo-3']);
  const checkpoint = one.checkpoint();

  // Its history has parted: it is sent the old timeline, which is no streaming.
  await two.startStandby(member('demo-2.joining', 'demo-1'));
  for (let looks = 0; looks < 40; looks++) {
    assert.equal((await two.observe()).streaming, false);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // Stopped before, it would not know that it has anything to be rewound.
  await until('its own WAL to be replayed', async () => (await two.observe()).replayedAll === true);
  await two.stop(STOP);

  const { discarded } = await two.rewind({ source: at('demo-1') }, signal);
  await checkpoint;
  assert.ok(discarded && compareLsn(discarded.from, discarded.to) < 0, JSON.stringify(discarded));
  const incarnation = two.view().incarnation;
  await two.startStandby(member('demo-2', 'demo-1'));
  await streams('demo-2');
  assert.equal(two.view().incarnation, incarnation);
  const session = await app('demo-2');
  await (await app('demo-1')).query('insert into t values (7)');
  await until('the new row', async () => (await session.query('select from t where id = 7')).length === 1);
  assert.equal((await session.query('select from t where id = 6')).length, 0);
});

test('a setting that PostgreSQL refuses is named, and never written', async () => {
  const written = () => readFileSync(join(layoutOf('demo-1').pgdata, 'pgherd.conf'), 'utf8');
  const before = written();
  await assert.rejects(
    one.applySettings(testSpec({ parameters: { work_mem: 'much' } })),
    (error: Error & { code: string }) => {
      assert.equal(error.code, 'BadSettings');
      assert.match(error.message, /work_mem/);
      return true;
    },
  );
  // Needs a restart, in which PostgreSQL would stay down.
  const library = testSpec({ shared_preload_libraries: ['no_such_library'] });
  await assert.rejects(one.applySettings(library), /could not access file "no_such_library"/);
  assert.equal(written(), before);
  assert.deepEqual(
    await one.applySettings(testSpec({ parameters: { shared_buffers: '16MB', work_mem: '8MB' } })),
    { pendingRestart: false },
  );
  assert.deepEqual(await one.applySettings(testSpec({ parameters: { shared_buffers: '24MB' } })), {
    pendingRestart: true,
  });
  assert.equal(one.view().pendingRestart, true);
});

test('what a standby must not be below is raised there, and a lower wish asks for no restart', async () => {
  assert.deepEqual(
    await one.applySettings(testSpec({ parameters: { shared_buffers: '16MB', max_connections: '20' } })),
    {
      pendingRestart: false,
    },
  );
  await two.stop(STOP);
  await two.applySettings(testSpec({ parameters: { shared_buffers: '16MB', max_connections: '20' } }));
  await two.startStandby(member('demo-2', 'demo-1'));
  await streams('demo-2');
  const [row] = await two.read((query) =>
    query<{ value: string }>("select current_setting('max_connections') as value"),
  );
  assert.equal(row?.value, '100');
  await two.applySettings(spec);
  await one.applySettings(spec);
});

test('passwords change, and only when they differ', async () => {
  const position = async () => (await one.observe()).currentLsn;
  await one.ensureApplication(spec, { app: { username: 'app', password: 'other' } });
  await assert.rejects(app('demo-1'), /password authentication failed/);
  await one.ensureApplication(spec, { app: { username: 'app', password: 'secret' } });
  await app('demo-1');
  const before = await position();
  await one.ensureApplication(spec, { app: { username: 'app', password: 'secret' } });
  assert.equal(await position(), before);
});

test('no one comes in without TLS, nor as superuser', async () => {
  await assert.rejects(
    openSession({ host: at('demo-1').address, port, user: 'app', database: 'app', password: 'secret' }),
    /no encryption/,
  );
});

test('a data directory emptied while the server runs is noticed, and copied anew', async () => {
  await until('the third to be stopped', () => three.view().process === 'stopped');
  await three.wipeForCopy();
  assert.equal(three.view().data, 'empty');
  const copy = new AbortController();
  const running = three.copy({ source: at('demo-1') }, copy.signal);
  copy.abort();
  await assert.rejects(running, { code: 'Cancelled' });
  assert.equal(three.view().data, 'empty');
  await three.copy({ source: at('demo-1') }, signal);
  await three.startStandby(member('demo-3', 'demo-1'));
  await streams('demo-3');
  const { rmSync, writeFileSync } = await import('node:fs');
  rmSync(join(layoutOf('demo-3').pgdata, 'global'), { recursive: true });
  assert.equal((await three.observe()).data, 'damaged');
  await three.die();
  await three.wipeForCopy();
  await three.copy({ source: at('demo-1') }, signal);
  // PostgreSQL itself would start without it, and fail at its first checkpoint as a primary.
  rmSync(join(layoutOf('demo-3').pgdata, 'pg_xact'), { recursive: true });
  await three.die();
  const { data, damage } = await three.observe();
  assert.equal(data, 'damaged');
  assert.match(damage ?? '', /lacks pg_xact/);
  await three.wipeForCopy();
  await three.copy({ source: at('demo-1') }, signal);
  // All zeros: its system identifier would read as 0, another cluster's.
  writeFileSync(join(layoutOf('demo-3').pgdata, 'global', 'pg_control'), Buffer.alloc(8192));
  await three.die();
  assert.equal((await three.observe()).data, 'damaged');
  await three.wipeForCopy();
  await three.copy({ source: at('demo-1') }, signal);
  await three.startStandby(member('demo-3', 'demo-1'));
  await streams('demo-3');
});

test('with all connections taken by clients, a replica is copied all the same', async () => {
  await three.stop(STOP);
  const taken: Session[] = [];
  const takeAll = async () => {
    for (;;) taken.push(await app('demo-1'));
  };
  await assert.rejects(takeAll, { sqlState: '53300' });
  await three.wipeForCopy(at('demo-1'));
  await three.copy({ source: at('demo-1') }, signal);
  for (const session of taken) session.close();
  await three.startStandby(member('demo-3', 'demo-1'));
  await streams('demo-3');
});

test('a scrape tells of the databases and the slots', async () => {
  const report = {
    name: 'demo-1',
    ready: true,
    leader: true,
    role: 'primary',
    streaming: false,
    replication: [],
  };
  const scrape = createMetrics({
    cluster: 'demo',
    instance: 'demo-1',
    layout: layoutOf('demo-1'),
    database: one,
    report: () => report as unknown as InstanceReport,
    log: quiet,
  });
  const { body } = await scrape();
  assert.match(body, /^pgherd_up\{.*\} 1$/m);
  assert.match(body, /^pgherd_database_size_bytes\{database="app",.*\} [1-9]/m);
  assert.match(body, /^pgherd_slot_active\{slot="_pgherd_demo_2",.*\} 1$/m);
  assert.match(body, /^pgherd_wal_bytes\{.*\} [1-9]/m);
});

test('renewed certificates come into force without a restart', async () => {
  const pid = () => readFileSync(join(layoutOf('demo-1').pgdata, 'postmaster.pid'), 'utf8').split('\n')[0];
  const before = pid();
  await app('demo-1');
  const renewed = join(folder, 'renewed');
  makeTls(renewed, ['demo-rw', 'demo-r']);
  const ca = readFileSync(tlsFiles(renewed).ca, 'utf8');
  const connect = () =>
    openSession({
      host: at('demo-1').address,
      port,
      user: 'app',
      database: 'app',
      password: 'secret',
      tls: { ca, servername: 'demo-rw' },
    });
  await assert.rejects(connect());
  copyTls(renewed, layoutOf('demo-1').tls);
  await one.readFilesAgain();
  await until('the new certificate', () =>
    connect().then(
      (session) => sessions.push(session) > 0,
      () => false,
    ),
  );
  assert.equal(pid(), before);
});
