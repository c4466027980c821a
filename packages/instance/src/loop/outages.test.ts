/** What lasts: a PostgreSQL that hangs, a disk that hangs, a replica that is away while another becomes the primary. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { processesIn } from '@pgherd/postgres';
import { until } from '@pgherd/postgres/testing';
import { TestCluster } from './testing-cluster.ts';

/** Segments that a primary keeps without a slot; and, with one, at most. */
const KEPT = 2;
const AWAY = 6;

const cluster = new TestCluster({
  postgresql: {
    parameters: {
      shared_buffers: '16MB',
      min_wal_size: '32MB',
      wal_keep_size: `${KEPT * 16}MB`,
      max_slot_wal_keep_size: '1GB',
    },
  },
});
const { get, names } = cluster;

before(async () => {
  await cluster.prepare();
  await cluster.startAll();
  await cluster.sql('create table t (id int primary key)');
});
after(() => cluster.end());

function others(leader: string): [string, string] {
  return names.filter((name) => name !== leader) as [string, string];
}

test('all of PostgreSQL hangs: it is killed and succeeded, and nothing is lost', async (t) => {
  const leader = await cluster.fault(t, async (name) => {
    const pids = processesIn(get(name).layout.pgdata);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    const hung = () => processesIn(get(name).layout.pgdata).filter((pid) => pids.includes(pid));
    await until(
      'another to lead, or what hangs to be dead',
      async () => (await cluster.leader()) !== name || hung().length === 0,
      40_000,
    );
    assert.deepEqual(hung(), [], 'what hung must be dead before another leads');
  });
  t.diagnostic(`${leader} -> ${await cluster.leader()}`);
});

test('the disk of the primary hangs: it says so, and another takes over', async (t) => {
  const leader = await cluster.leader();
  const probe = join(get(leader).layout.notes, '.write-probe');
  const hung = () => get(leader).report.volumes?.some((volume) => volume.hung) === true;
  // Who opens a pipe that nobody reads waits as for a disk that hangs. Nothing else is written meanwhile.
  rmSync(probe, { force: true });
  execFileSync('mkfifo', [probe]);
  try {
    await until('the volume to be called hung', hung, 20_000);
    await until('another to lead', async () => (await cluster.leader()) !== leader, 30_000);
  } finally {
    closeSync(openSync(probe, 'r+'));
    rmSync(probe);
  }
  await until('the disk to be well', () => !hung(), 20_000);
  await cluster.settle();
  t.diagnostic(`${leader} -> ${await cluster.leader()}`);
});

test('a replica that was away while leadership changed finds its WAL on the new primary', async () => {
  const leader = await cluster.leader();
  const [next, away] = others(leader);
  const slot = `_pgherd_${away.replaceAll('-', '_')}`;
  const reserved = async (name: string) => {
    const session = await cluster.connect(name);
    try {
      const query = 'select from pg_replication_slots where slot_name = $1 and restart_lsn is not null';
      return (await session.query(query, [slot])).length === 1;
    } finally {
      session.close();
    }
  };
  await until('the slot to be used', () => reserved(leader));
  // A standby moves its slots after the primary's at once when it begins to stream.
  await get(next).terminate();
  await get(next).start();
  await cluster.settle();
  await until('the other replica to keep WAL too', () => reserved(next), 40_000);
  const { incarnation } = get(away).report;
  await get(away).terminate();
  for (let n = 0; n < AWAY; n++)
    await get(leader).superuser(
      `insert into t values (${1_000_000 + n}); select pg_switch_wal(); checkpoint`,
    );
  // With another replica away, only a hand-over is safe under this rule.
  await get(leader).terminate();
  await until(`${next} to lead`, async () => (await cluster.leader()) === next, 30_000);
  await until('the new primary to let go of what it need not keep', () =>
    get(next)
      .superuser('checkpoint; select pg_switch_wal(); checkpoint')
      .then(
        () => true,
        () => false,
      ),
  );
  await get(away).start();
  await get(leader).start();
  await cluster.settle();
  assert.equal(get(away).report.incarnation, incarnation, 'it must not have been copied anew');
});
