/** A WAL receiver that stands still (SIGSTOP) does not stream, and holds up no promotion. */
import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { configPath, type Postgres, type Session } from '@pgherd/postgres';
import { until } from '@pgherd/postgres/testing';
import { TestServers } from '@pgherd/postgres/testing-servers';
import { observeSql } from './observe.ts';

const servers = new TestServers();
let one: Postgres;
let two: Postgres;
let standby: Session;

const receiver = async (): Promise<number | undefined> => {
  const [row] = await standby.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'walreceiver'",
  );
  return row?.pid;
};

async function freeze(): Promise<void> {
  await until('a WAL receiver', async () => (await receiver()) !== undefined);
  process.kill((await receiver())!, 'SIGSTOP');
}

before(async () => {
  [one, two] = [await servers.make('one'), await servers.make('two')];
  await one.initdb({ dataChecksums: true, encoding: 'UTF8', locale: 'C' });
  await servers.startPrimary(one);
  await two.baseBackup({ source: servers.upstream(one, 'copy'), sourceName: 'one' });
  await servers.startStandby(two, one, 'two');
  standby = await servers.session(two);
  await servers.streams(await servers.session(one), 'two');
});

after(() => servers.end());

test('it does not stream, whatever PostgreSQL says', async () => {
  appendFileSync(configPath(two.pgdata, 'settings'), "wal_receiver_timeout = '500ms'\n");
  two.reload();
  const streams = async () => (await observeSql(standby, two.pgdata, 1000)).streaming;
  await until('it to stream', streams);
  await freeze();
  const pid = (await receiver())!;
  await until('it to be seen', async () => !(await streams()));
  const [row] = await standby.query('select status from pg_stat_wal_receiver');
  assert.equal(row?.status, 'streaming');
  process.kill(pid, 'SIGCONT');
  await until('it to stream again', streams);
});

test('a promotion does not wait for it', async () => {
  await freeze();
  assert.equal(await two.promote(standby, { deadlineMs: 8_000 }), 2);
});

test('nor does a stop wait for a process that stands still', async () => {
  const [row] = await standby.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'checkpointer'",
  );
  process.kill(row!.pid, 'SIGSTOP');
  const begin = performance.now();
  await two.stop({ fastMs: 8_000, immediateMs: 1_000 });
  assert.ok(performance.now() - begin < 6_000, 'it ended by the order to stop, not by the kill');
});
