/** What people do to a data directory by hand while its manager runs: noticed, mended where it can be, never made worse. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ANNOTATION_FENCED } from '@pgherd/api';
import { openPostgres, processesIn } from '@pgherd/postgres';
import { killAllIn, quiet, until } from '@pgherd/postgres/testing';
import { TestCluster } from './testing-cluster.ts';

const cluster = new TestCluster({
  count: 2,
  postgresql: {
    parameters: { shared_buffers: '16MB' },
    synchronous: { method: 'any', number: 1, dataDurability: 'preferred' },
  },
});
const { get } = cluster;
let rows = 0;

/** Waits until all is well, and a row that is written then is on both. */
async function isWell(): Promise<void> {
  await cluster.settle();
  const id = ++rows;
  await until(
    'a write',
    () =>
      cluster.sql(`insert into t values (${id})`).then(
        () => true,
        () => false,
      ),
    30_000,
  );
  for (const { name } of cluster.instances) {
    await until(
      `the row on ${name}`,
      async () => (await idsOn(name).catch((): number[] => [])).includes(id),
      30_000,
    );
  }
}

async function idsOn(name: string): Promise<number[]> {
  const session = await cluster.connect(name);
  try {
    return (await session.query('select id from t')).map((row) => row.id as number);
  } finally {
    session.close();
  }
}

async function replica(): Promise<ReturnType<typeof get>> {
  const leader = await cluster.leader();
  return cluster.instances.find(({ name }) => name !== leader)!;
}

before(async () => {
  await cluster.prepare();
  await cluster.startAll();
  await cluster.sql('create table t (id int primary key)');
});
after(() => cluster.end());

test('a replica that is promoted is stopped, and loses what it wrote alone', async () => {
  const one = await replica();
  await one.superuser('select pg_promote()');
  // It may be killed before that.
  await one
    .superuser('set synchronous_commit = local; insert into t values (-1); checkpoint')
    .catch(() => undefined);
  await until('its PostgreSQL to be killed', () => one.report.role === 'none', 20_000);
  await until('it to run again', () => one.report.role === 'replica', 20_000);
  assert.equal(one.report.receivedLsn, undefined, 'what it has says nothing to an election');
  await isWell();
  assert.ok(!(await idsOn(one.name)).includes(-1));
});

test('one that is promoted and dies before anybody has seen it says nothing to an election either', async () => {
  const one = await replica();
  // The manager may see it first, and kill it.
  await one.superuser('select pg_promote()').catch(() => undefined);
  killAllIn(one.layout.pgdata);
  await until('the death to be noticed', () => one.report.role === 'none', 20_000);
  // What the next manager knows it has from the volume.
  one.stop();
  killAllIn(one.layout.pgdata);
  await one.start();
  await until('it to run again', () => one.report.role === 'replica', 20_000);
  assert.equal(one.report.receivedLsn, undefined);
  assert.ok(one.loop.state.view?.promotedByHand);
  await isWell();
  assert.ok(!one.loop.state.view?.promotedByHand);
});

test('the role of the replicas is taken away: given back, and nobody loses data over it', async () => {
  const [one, leader] = [await replica(), get(await cluster.leader())];
  const { incarnation } = one.report;
  await leader.superuser('alter role streaming_replica with nologin noreplication');
  await leader.superuser('select pg_terminate_backend(pid) from pg_stat_replication');
  await until('the connection to be lost', () => !one.report.streaming, 10_000);
  await isWell();
  assert.equal(one.report.incarnation, incarnation);
});

test('a data directory that others may enter is closed before PostgreSQL starts again', async () => {
  for (const { layout, postmaster } of cluster.instances) {
    chmodSync(layout.pgdata, 0o777);
    process.kill(postmaster, 'SIGKILL');
    await isWell();
  }
});

test('another database put in the place of one that is stopped: refused, and not touched', async () => {
  const one = await replica();
  const { pgdata } = one.layout;
  const [aside, other] = [join(cluster.folder, 'aside'), join(cluster.folder, 'other')];
  const { bin } = await openPostgres({ pgdata, socketDir: cluster.folder, port: 1, log: quiet });
  execFileSync(join(bin!, 'initdb'), ['-D', other, '--no-sync'], { stdio: 'ignore' });
  const settings = readFileSync(join(other, 'postgresql.conf'), 'utf8');
  await cluster.annotate({ [ANNOTATION_FENCED]: JSON.stringify([one.name]) });
  await until('the fence', () => processesIn(pgdata).length === 0, 20_000);
  renameSync(pgdata, aside);
  renameSync(other, pgdata);
  await cluster.annotate({ [ANNOTATION_FENCED]: null });
  await until('the refusal', () => one.report.error?.code === 'ForeignData', 20_000);
  assert.equal(one.report.state, 'failed');
  assert.deepEqual(processesIn(pgdata), []);
  assert.equal(readFileSync(join(pgdata, 'postgresql.conf'), 'utf8'), settings);
  assert.ok(!existsSync(join(pgdata, 'standby.signal')));
  renameSync(pgdata, other);
  renameSync(aside, pgdata);
  const { incarnation } = one.report;
  await isWell();
  assert.equal(one.report.incarnation, incarnation);
  assert.ok(!one.loop.state.view?.promotedByHand);
});

test('a data directory that is moved away takes no process along, and another leads', async () => {
  const one = get(await cluster.leader());
  const { pgdata } = one.layout;
  const away = join(cluster.folder, 'away');
  renameSync(pgdata, away);
  await until('another to lead', async () => (await cluster.leader()) !== one.name, 30_000);
  assert.deepEqual(processesIn(away), []);
  await isWell();
  rmSync(away, { recursive: true });
});
