import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { compareLsn, currentTimeline, missingParts, type Postgres, processesIn } from './index.ts';
import { until } from './testing.ts';
import { TestServers } from './testing-servers.ts';

const servers = new TestServers();
const { session, startPrimary, startStandby, upstream, settings, streams } = servers;

let one: Postgres;
let two: Postgres;

before(async () => {
  one = await servers.make('one');
  two = await servers.make('two', true);
  await one.initdb({ dataChecksums: true, encoding: 'UTF8', locale: 'C' });
  await one.sync();
});

after(() => servers.end());

test('a fresh cluster has control data, starts in milliseconds and takes writes', async () => {
  const control = await one.controlData();
  assert.match(control.systemID, /^\d{15,}$/);
  assert.equal(control.state, 'shut down');
  assert.equal(control.timeline, 1);
  assert.equal(control.checksums, true);
  assert.deepEqual(missingParts(one.pgdata), []);
  await startPrimary(one);
  assert.equal(one.state, 'running');
  const sql = await session(one);
  await sql.query('create table t (id int primary key); insert into t values (1)');
  await assert.rejects(sql.query('select * from nowhere'), { code: 'SqlFailed', sqlState: '42P01' });
  await assert.rejects(sql.query('alter system set fsync = off'), /[Pp]ermission denied/);
});

test('a copy streams, with its WAL on a volume of its own', async () => {
  await two.baseBackup({ source: upstream(one, 'two'), sourceName: 'one' });
  await startStandby(two, one, 'two');
  const sql = await session(one);
  await streams(sql, 'two');
  const standby = await session(two);
  await until('the row', async () => (await standby.query('select * from t')).length === 1);
});

test('a synchronous rule is confirmed to be in force', async () => {
  const sql = await session(one);
  for (const names of ['ANY 1 (two)', 'FIRST 1 (two)', 'ANY 1 (nobody)', 'ANY 1 (two, nobody)', '']) {
    await one.writeRole({ standby: false, primaryConninfo: '', synchronousStandbyNames: names });
    await one.reloadSync(sql, names);
    const expected =
      names === '' || names === 'ANY 1 (nobody)' ? 'async' : names.startsWith('ANY') ? 'quorum' : 'sync';
    // The proof is that the next reply will be judged by the rule; what the view shows may lag behind by a moment.
    await until(`${names || 'no rule'}`, async () => {
      const [row] = await sql.query('select sync_state from pg_stat_replication');
      return row?.sync_state === expected;
    });
  }
});

test('the rule is confirmed under load too', async () => {
  const load = spawn(
    join(one.bin!, 'pgbench'),
    [
      '-h',
      one.options.socketDir,
      '-p',
      String(one.options.port),
      '-U',
      'postgres',
      '-n',
      '-c',
      '4',
      '-T',
      '30',
      '-f',
      '-',
      'postgres',
    ],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  );
  load.stdin.end('insert into t select coalesce(max(id), 0) + 1 from t on conflict do nothing;\n');
  try {
    const sql = await session(one);
    await until('load', async () => Number((await sql.query('select max(id) as m from t'))[0]!.m) > 50);
    for (const names of ['ANY 1 (two)', 'ANY 1 (two, nobody)', 'FIRST 1 (two)', '']) {
      await one.writeRole({ standby: false, primaryConninfo: '', synchronousStandbyNames: names });
      await one.reloadSync(sql, names);
    }
  } finally {
    load.kill('SIGKILL');
  }
});

test('promoted, the standby writes at once on a new timeline; the old primary is rewound and follows', async () => {
  await one.stop({ fastMs: 5000, immediateMs: 1000 });
  const control = await one.controlData();
  assert.equal(control.state, 'shut down');
  // The same file says the same; that of a server that has run since does not.
  assert.equal(await one.controlData(), control);
  const sql = await session(two);
  const begin = performance.now();
  assert.equal(await two.promote(sql, { deadlineMs: 10_000 }), 2);
  await sql.query('insert into t values (100000)');
  const took = performance.now() - begin;
  assert.ok(took < 1000, `promote to first write took ${took} ms`);
  await sql.query('checkpoint');
  assert.equal(await currentTimeline(sql), 2);

  // The old primary writes on, alone, and is then brought back.
  await startPrimary(one);
  const old = await session(one);
  await old.query('insert into t values (200000)');
  await one.stop({ fastMs: 5000, immediateMs: 1000 });
  const result = await one.rewind({ source: `${upstream(two, 'one')} dbname='postgres'`, sourceName: 'two' });
  assert.equal(result.rewound, true);
  assert.ok(result.discarded && compareLsn(result.discarded.from, result.discarded.to) < 0);
  await startStandby(one, two, 'one');
  await streams(sql, 'one');
  const again = await session(one);
  await until(
    'the new history',
    async () => (await again.query('select 1 from t where id = 100000')).length === 1,
  );
  assert.equal((await again.query('select 1 from t where id = 200000')).length, 0);
});

test('after the postmaster is killed its backends live; certain death ends them and the start works', async () => {
  const sql = await session(two);
  // A sleeping backend would notice the postmaster's death; one that works does not.
  const busy = sql.query('do $$ begin loop perform 1; end loop; end $$', [], 60_000).catch(() => 'gone');
  await until('the busy one', async () => {
    const other = await session(two);
    return (
      (
        await other.query(
          "select 1 from pg_stat_activity where query like 'do $$ begin loop%' and state = 'active'",
        )
      ).length > 0
    );
  });
  process.kill(two.server.pid!, 'SIGKILL');
  await until('the exit', () => two.state === 'stopped');
  assert.ok(processesIn(two.pgdata).length > 0, 'backends outlive the postmaster');
  await assert.rejects(two.start(), { code: 'AlreadyRunning' });
  await two.die();
  assert.deepEqual(processesIn(two.pgdata), []);
  assert.equal(await busy, 'gone');
  assert.equal((await two.controlData()).state, 'in production');
  await two.start();
});

test('whoever knocks while it stops does not hold it up', async () => {
  const socket = join(one.options.socketDir, `.s.PGSQL.${one.options.port}`);
  // They say nothing: each would have the server wait for its authentication_timeout.
  const sockets: Socket[] = [];
  const knock = () => sockets.push(connect(socket).on('error', () => undefined));
  const knocking = setInterval(knock, 5);
  const begin = performance.now();
  await one.stop({ fastMs: 10_000, immediateMs: 1000 });
  const took = performance.now() - begin;
  clearInterval(knocking);
  for (const each of sockets) each.destroy();
  assert.ok(sockets.length > 0);
  assert.ok(took < 3000, `the stop took ${took} ms`);
  assert.match((await one.controlData()).state, /^shut down/);
  await startStandby(one, two, 'one');
});

test('a start that fails says why', async () => {
  await one.stop({ fastMs: 5000, immediateMs: 1000 });
  await one.writeSettings({ ...settings(one), shared_buffers: '1' });
  await assert.rejects(one.start(), (error: Error & { code: string }) => {
    assert.equal(error.code, 'StartFailed');
    assert.match(error.message, /shared_buffers/);
    return true;
  });
  assert.equal(one.state, 'stopped');
});

test('a stop that does not end escalates', async () => {
  const sql = await session(two);
  process.kill(two.server.pid!, 'SIGSTOP');
  const begin = performance.now();
  await two.stop({ fastMs: 100, immediateMs: 100 });
  // Without the last step it would never end; the machine may be busy.
  assert.ok(performance.now() - begin < 5000);
  assert.deepEqual(processesIn(two.pgdata), []);
  await assert.rejects(sql.query('select 1'));
});

test('a primary that is shut down waits for its archiver, unless another archives, and starts again', async () => {
  await two.writeSettings({ ...settings(two), archive_mode: 'on', archive_command: 'sleep 0.3' });
  await two.writeRole({ standby: false, primaryConninfo: '', synchronousStandbyNames: '' });
  const status = join(two.pgdata, 'pg_wal', 'archive_status');
  const waiting = () => readdirSync(status).filter((name) => name.endsWith('.ready'));
  await two.start();
  const sql = await session(two);
  await sql.query('create table last as select 1 as id; select pg_switch_wal()');
  await two.stop({ fastMs: 60_000, immediateMs: 1000 });
  assert.deepEqual(waiting(), []);
  await two.writeSettings({ ...settings(two), archive_mode: 'on', archive_command: 'sleep 30' });
  await two.start();
  await (await session(two)).query('select pg_switch_wal()');
  const begin = performance.now();
  await two.stop({ fastMs: 15_000, immediateMs: 1000, leaveArchiver: true });
  const took = performance.now() - begin;
  assert.ok(took < 5000, `the stop took ${took} ms`);
  assert.notDeepEqual(waiting(), []);
  assert.deepEqual(processesIn(two.pgdata), []);
  assert.equal((await two.controlData()).state, 'shut down');
  await two.start();
  assert.equal((await (await session(two)).query('select id from last')).length, 1);
});
