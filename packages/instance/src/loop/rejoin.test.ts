/** The way back into replication on real data: follow, else rewind, else a fresh copy; and never over foreign data. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openPostgres, processesIn } from '@pgherd/postgres';
import { freePort, quiet, until } from '@pgherd/postgres/testing';
import { TestCluster } from './testing-cluster.ts';

const cluster = new TestCluster({
  count: 2,
  postgresql: {
    parameters: { shared_buffers: '16MB', wal_keep_size: '64MB', max_slot_wal_keep_size: '64MB' },
    pg_hba: ['hostssl app app 127.0.0.0/8 scram-sha-256'],
    synchronous: { method: 'any', number: 1, dataDurability: 'preferred' },
  },
});
const replica = cluster.get('demo-2');
const { pgdata } = replica.layout;
let rows = 0;

/** Stops the replica, changes its data, starts it again, and waits until it follows with all rows. */
async function comesBack(
  t: { diagnostic(text: string): void },
  damage: () => void | Promise<void>,
): Promise<string> {
  await cluster.settle();
  await replica.terminate();
  const before = replica.report.incarnation;
  await damage();
  await cluster.sql(`insert into t values (${++rows})`);
  const began = performance.now();
  await replica.start();
  await cluster.settle();
  await until('the row', async () => {
    const session = await cluster.connect('demo-2');
    const found = await session.query('select from t where id = $1', [rows]);
    session.close();
    return found.length === 1;
  });
  const way = replica.report.incarnation === before ? 'kept' : 'copied';
  t.diagnostic(`${way}, ${(performance.now() - began).toFixed(0)} ms`);
  return way;
}

async function writeWal(segments: number): Promise<void> {
  for (let n = 0; n < segments; n++)
    await cluster.get('demo-1').superuser('select txid_current(); select pg_switch_wal()');
}

before(async () => {
  await cluster.prepare();
  await cluster.startAll();
  await cluster.sql('create table t (id int primary key)');
});
after(() => cluster.end());

test('nothing wrong: it follows', async (t) => {
  assert.equal(await comesBack(t, () => undefined), 'kept');
});

test('a history of its own: it is rewound', async (t) => {
  const way = await comesBack(t, async () => {
    const alone = join(cluster.folder, 'alone');
    const pg = await openPostgres({ pgdata, socketDir: alone, port: await freePort(), log: quiet });
    await pg.writeRoleSettings({ standby: true, primaryConninfo: '', synchronousStandbyNames: '' });
    const args = ['listen_addresses=', `unix_socket_directories=${alone}`, `port=${pg.options.port}`];
    await pg.start({ args: args.flatMap((arg) => ['-c', arg]) });
    const session = await pg.session({ database: 'app' });
    assert.equal(await pg.promote(session, { deadlineMs: 20_000 }), 2);
    await session.query('insert into t values (-1)');
    session.close();
    await pg.stop({ fastMs: 5000, immediateMs: 1000 });
  });
  assert.equal(way, 'kept');
  const session = await cluster.connect('demo-2');
  assert.deepEqual(await session.query('select from t where id = -1'), []);
  session.close();
});

const damages: [what: string, damage: () => void | Promise<void>, way?: string][] = [
  ['no control file', () => rmSync(join(pgdata, 'global', 'pg_control'))],
  ['an emptied directory', () => rmSync(pgdata, { recursive: true })],
  [
    'no WAL, which its primary has',
    () => {
      for (const name of readdirSync(join(pgdata, 'pg_wal'))) {
        if (/^[0-9A-F]{24}$/.test(name)) rmSync(join(pgdata, 'pg_wal', name));
      }
    },
    'kept',
  ],
  ['no files of any table', () => rmSync(join(pgdata, 'base'), { recursive: true })],
  [
    'WAL that its primary no longer has',
    async () => {
      await writeWal(10);
      await cluster.get('demo-1').superuser('checkpoint');
    },
  ],
];
for (const [what, damage, way = 'copied'] of damages) {
  test(`${what}: ${way}`, async (t) => {
    assert.equal(await comesBack(t, damage), way);
  });
}

let megabytes = 5;
/** Changes a setting of the cluster; resolves once its primary runs with it. */
async function changeSetting(): Promise<void> {
  const value = `${megabytes++}MB`;
  await cluster.patch({ postgresql: { parameters: { work_mem: value } } });
  await until('the setting', async () => {
    const [row] = await cluster.get('demo-1').superuser('show work_mem');
    return row!.work_mem === value;
  });
}

/** Every file below a folder, with when it was last written. */
function filesIn(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files.sort().map((name) => `${name} ${statSync(join(folder, name)).mtimeMs}`);
}

test('data of another database are refused and never touched; once they are gone, it is copied', async (t) => {
  const [foreign, aside] = [join(cluster.folder, 'foreign'), join(cluster.folder, 'aside')];
  const { bin } = await openPostgres({ pgdata: foreign, socketDir: cluster.folder, port: 1, log: quiet });
  execFileSync(join(bin!, 'initdb'), ['-D', foreign, '--no-sync'], { stdio: 'ignore' });
  const files = filesIn(foreign);
  const refused = async () => {
    await until('the refusal', () => replica.report.error?.code === 'ForeignData', 20_000);
    await changeSetting();
    assert.equal(replica.report.state, 'failed');
    assert.deepEqual(processesIn(pgdata), []);
    assert.deepEqual(filesIn(pgdata), files);
  };
  const way = await comesBack(t, async () => {
    await replica.start();
    await cluster.settle();
    await cluster.annotate({ 'pgherd.io/fenced': '["demo-2"]' });
    await until('the fence', () => processesIn(pgdata).length === 0, 20_000);
    // At once, so that what was seen before still counts.
    renameSync(pgdata, aside);
    renameSync(foreign, pgdata);
    await cluster.annotate({ 'pgherd.io/fenced': null });
    await refused();
    await replica.terminate();
    await replica.start();
    await refused();
    await replica.terminate();
    rmSync(pgdata, { recursive: true });
  });
  assert.equal(way, 'copied');
});
