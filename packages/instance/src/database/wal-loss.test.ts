/** WAL files that are deleted under a running primary: what it acknowledged is safe soon after, and it can be copied. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openSession } from '@pgherd/postgres';
import { freePort, killAllIn, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { initialiseSpec } from '../bootstrap/plan.ts';
import { makeTls, testSpec } from '../testing.ts';
import { openDatabase } from './executor.ts';
import type { Layout } from './layout.ts';
import type { Database, WalLost } from './types.ts';

const folder = testFolder();
const layout: Layout = {
  pgdata: join(folder, 'data', 'pgdata'),
  notes: join(folder, 'data', 'pgherd'),
  sockets: join(folder, 's'),
  run: join(folder, 'run'),
  tls: join(folder, 'run', 'tls'),
};
const wal = join(layout.pgdata, 'pg_wal');
const spec = testSpec({ parameters: { shared_buffers: '16MB' } });
const port = await freePort();
const losses: WalLost[] = [];
let database: Database;
let rows = 0;

async function sql(text: string): Promise<void> {
  const session = await openSession({ host: layout.sockets, port, user: 'postgres', database: 'postgres' });
  await session.query(text).finally(() => session.close());
}

async function insert(count: number): Promise<void> {
  await sql(`insert into t select generate_series(${rows + 1}, ${rows + count})`);
  rows += count;
}

const counted = () =>
  database.read(async (query) =>
    Number((await query<{ n: string }>('select count(*) as n from public.t'))[0]!.n),
  );

before(async () => {
  makeTls(layout.tls, ['demo-rw']);
  const serverName = 'demo-rw';
  const place = {
    instance: 'demo-1',
    cluster: 'demo',
    layout,
    port,
    listenAddresses: '127.0.0.1',
    serverName,
  };
  database = await openDatabase({ ...place, log: quiet });
  database.onWalLost((loss) => losses.push(loss));
  await database.applySettings(spec);
  const sqlOf = { postInit: [], postInitApplication: [], postInitTemplate: [] };
  await database.initialise(initialiseSpec(spec, { ownerPassword: 'secret', sql: sqlOf }));
  await database.claim();
  await database.startStandby({ upstream: null, applicationName: 'demo-1' });
  await database.promote({ syncNames: '', timeline: 3 });
  await sql('create table t (id int primary key)');
});

after(async () => {
  await database.die().catch(() => undefined);
  killAllIn(layout.pgdata);
});

test('nothing is missed while segments come and go', async () => {
  for (let round = 0; round < 20; round++) {
    await insert(100);
    await sql('select pg_switch_wal()');
    await Promise.all([sql('checkpoint'), database.observe(), database.observe()]);
    await database.observe();
  }
  assert.deepEqual(losses, []);
});

const deletions: [what: string, names: RegExp][] = [
  ['everything in pg_wal', /./],
  ['all segments', /^[0-9A-F]{24}$/],
  ['the history of the timeline', /^00000003\.history$/],
];
for (const [what, names] of deletions) {
  test(`${what} deleted: a crash soon after loses nothing`, async () => {
    await insert(100);
    await database.observe();
    const history = readFileSync(join(wal, '00000003.history'), 'utf8');
    for (const name of readdirSync(wal)) if (names.test(name)) rmSync(join(wal, name), { recursive: true });
    await insert(100);
    await until('the mending', async () => {
      await database.observe();
      return losses.length > 0;
    });
    assert.deepEqual(
      losses.splice(0).map(({ why }) => why),
      [undefined],
    );
    await insert(100);
    await database.die();
    await database.startPrimary({ syncNames: '' });
    assert.equal(await counted(), rows);
    assert.equal(readFileSync(join(wal, '00000003.history'), 'utf8'), history);
    await database.observe();
    await database.observe();
    assert.deepEqual(losses, []);
  });
}
