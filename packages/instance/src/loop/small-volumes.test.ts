/** Full volumes, on real file systems that are small: a tmpfs of a few hundred megabytes for each instance. */
import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { processesIn } from '@pgherd/postgres';
import { until } from '@pgherd/postgres/testing';
import { runInside, sandbox } from '../testing-sandbox.ts';
import { TestCluster } from './testing-cluster.ts';
import { Writer } from './testing-writer.ts';

const SIZE_MB = 320;
const MB = 1 << 20;
const NAMES = ['demo-1', 'demo-2'];

if (sandbox === undefined)
  test('on small volumes', (t) =>
    runInside(t, {
      file: import.meta.filename,
      volumes: Object.fromEntries(NAMES.map((name) => [name, SIZE_MB])),
    }));
else describe('full volumes', () => story(sandbox as string));

function story(folder: string): void {
  const volume = (name: string) => join(folder, name);
  const cluster = new TestCluster({
    count: NAMES.length,
    volume,
    postgresql: {
      parameters: { shared_buffers: '16MB' },
      synchronous: { method: 'any', number: 1, dataDurability: 'preferred' },
    },
  });
  const [one, two] = NAMES.map((name) => cluster.get(name)) as [
    TestCluster['instances'][0],
    TestCluster['instances'][0],
  ];
  const filler = (name: string) => join(volume(name), 'filler');

  /** Somebody else's file, which leaves this much. */
  function fill(name: string, leaveMB: number): void {
    const { bavail, bsize } = statfsSync(volume(name));
    const file = openSync(filler(name), 'a');
    const chunk = Buffer.alloc(MB);
    try {
      for (let left = bavail * bsize; left > leaveMB * MB; left -= MB) writeSync(file, chunk);
    } catch (error) {
      // PostgreSQL was faster with the last of it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }
  const free = (name: string) => rmSync(filler(name), { force: true });
  const isFull = (name: string) => cluster.get(name).report.error?.code === 'VolumeFull';

  /** Writes until it is refused, or enough is written. */
  async function write(megabytes: number): Promise<void> {
    for (let n = 0; n < megabytes; n++)
      await cluster.sql(
        'insert into ballast select repeat(md5(random()::text), 30) from generate_series(1, 1000)',
      );
  }

  before(async () => {
    await cluster.prepare();
    await cluster.startAll();
    await cluster.sql('create table t (id int primary key)');
    await cluster.sql('create table ballast (v text)');
  });
  after(() => cluster.end());

  test('a replica on a full volume waits, keeps its data, and goes on by itself', async () => {
    const { incarnation } = two.report;
    fill('demo-2', 2);
    await write(40);
    await until('the replica to wait', () => isFull('demo-2'), 60_000);
    assert.match(two.report.error!.message, /the volume demo-2 is full \((?:9\d|100)%\)/);
    assert.match(two.report.waiting!.what, /space on the volume demo-2/);
    assert.deepEqual(processesIn(two.layout.pgdata), []);
    await cluster.sql('insert into t values (1)');
    free('demo-2');
    await cluster.settle();
    assert.equal(two.report.incarnation, incarnation);
  });

  test('where nobody has room, the primary keeps its place and waits', async () => {
    fill('demo-2', 20);
    fill('demo-1', 1);
    // Writes are refused while it runs; WAL that cannot be written ends it.
    await assert.rejects(write(100));
    const wal = async () => {
      for (let n = 0; n < 40; n++) await one.superuser('select txid_current(); select pg_switch_wal()');
    };
    await assert.rejects(wal);
    await until('the primary to wait', () => isFull('demo-1'), 20_000);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.ok(isFull('demo-1'));
    assert.deepEqual(processesIn(one.layout.pgdata), []);
    assert.equal(await cluster.leader(), 'demo-1');
    free('demo-1');
    free('demo-2');
    await cluster.settle();
    assert.equal(await cluster.leader(), 'demo-1');
    await cluster.sql('insert into t values (2)');
  });

  test('it hands over to one that has room, and nothing is lost', async () => {
    const writer = new Writer(cluster);
    try {
      await until('the writer to write', () => writer.acked.length > 5, 30_000);
      fill('demo-1', 25);
      await until('the other to lead', async () => (await cluster.leader()) === 'demo-2', 30_000);
      const before = writer.acked.length;
      await until('writes to go on', () => writer.acked.length > before + 5, 30_000);
    } finally {
      await writer.stop();
    }
    await cluster.nothingLost(writer);
    free('demo-1');
    await cluster.settle();
    assert.equal(await cluster.leader(), 'demo-2');
  });
}
