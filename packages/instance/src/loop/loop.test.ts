/** Three instances with real PostgreSQL against a real API server: the loop and the machine at work together. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { processesIn } from '@pgherd/postgres';
import { killIfThere, until } from '@pgherd/postgres/testing';
import { TestCluster } from './testing-cluster.ts';
import { Writer } from './testing-writer.ts';

const cluster = new TestCluster();
const { get, names } = cluster;

before(() => cluster.prepare());
after(() => cluster.end());

// Faults one after the other on one cluster: each leaves it settled, with nothing lost.

test('three instances come up on empty volumes, and -rw points at the first', async (t) => {
  const began = performance.now();
  await cluster.startAll();
  t.diagnostic(`settled after ${(performance.now() - began).toFixed(0)} ms`);
  assert.deepEqual(await cluster.writeService(), { instance: 'demo-1', epoch: 1 });
  const record = await cluster.record();
  assert.deepEqual(record.rules, [{ method: 'any', number: 1, names: ['demo-2', 'demo-3'], required: true }]);
  assert.equal(record.leader?.containerID, 'c://demo-1');
  assert.ok(get('demo-1').beats.some((beat) => typeof beat === 'number'));
  await cluster.sql('create table t (id int primary key)');
});

test('the postmaster is killed: a synchronous replica takes over', async (t) => {
  const leader = await cluster.fault(t, async (name) => {
    process.kill(get(name).postmaster, 'SIGKILL');
  });
  assert.notEqual(await cluster.leader(), leader);
});

test('a switchover is asked for', async (t) => {
  await cluster.fault(t, async (name) => {
    const to = names.find((each) => each !== name)!;
    // Refused while the target is not ready: then a new wish is needed.
    let asked = 0;
    let id = 0;
    await until(
      `${to} to lead`,
      async () => {
        if (performance.now() - asked > 4_000) {
          asked = performance.now();
          await cluster.annotate({
            'pgherd.io/switchover': JSON.stringify({ id: String(++id), from: name, to }),
          });
        }
        return (await cluster.leader()) === to;
      },
      60_000,
    );
  });
});

test('the manager and all of its pod are killed; the kubelet says so', async (t) => {
  await cluster.fault(t, async (name) => {
    get(name).stop();
    for (const pid of processesIn(get(name).layout.pgdata)) killIfThere(pid);
    await cluster.podStatus(name, {
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 137, reason: 'Error', containerID: `c://${name}` } },
    });
    await until('another to lead', async () => (await cluster.leader()) !== name);
    await get(name).start();
  });
});

test('the data directory is emptied under the running primary: it comes back by copy', async (t) => {
  const { systemID } = await cluster.record();
  const leader = await cluster.fault(t, async (name) => {
    rmSync(get(name).layout.pgdata, { recursive: true, force: true });
    await until('another to lead', async () => (await cluster.leader()) !== name, 20_000);
  });
  assert.notEqual(await cluster.leader(), leader);
  assert.equal((await cluster.record()).systemID, systemID);
});

test('the API is away for longer than a Lease lasts: the others let the leader go on, writes never stop', async (t) => {
  await cluster.settle();
  const postmasters = () => names.map((name) => get(name).postmaster);
  const before = { record: await cluster.record(), postmasters: postmasters() };
  const writer = new Writer(cluster);
  try {
    await until('the writer to write', () => writer.acked.length > 20, 60_000);
    const at = performance.now();
    await cluster.killApi();
    await until('12 s to pass', () => performance.now() - at > 12_000, 20_000);
    assert.ok(get(before.record.leader!.name).report.leader);
    await cluster.startApi();
    const renewed = async () => (await cluster.record()).renewTime !== before.record.renewTime;
    await until('a renewal', renewed, 20_000);
    const acked = writer.acked.length;
    await until('writes after it', () => writer.acked.length > acked + 20, 30_000);
    const outage = writer.outageSince(at);
    t.diagnostic(`longest time without a write ${outage.toFixed(0)} ms`);
    assert.ok(outage < 5_000, `writes stopped for ${outage.toFixed(0)} ms`);
  } finally {
    await writer.stop();
  }
  await cluster.nothingLost(writer);
  const record = await cluster.record();
  assert.deepEqual([record.holder, record.epoch], [before.record.holder, before.record.epoch]);
  assert.deepEqual(postmasters(), before.postmasters);
});

test("the leader's pod is stopped: it hands over first, then ends", async (t) => {
  const leader = await cluster.leader();
  await cluster.fault(t, async (name) => {
    await get(name).terminate();
    assert.equal(get(name).exit?.code, 0);
    assert.deepEqual(processesIn(get(name).layout.pgdata), []);
    await get(name).start();
  });
  assert.notEqual(await cluster.leader(), leader);
});
