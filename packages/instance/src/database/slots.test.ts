/** Replication slots on real servers: a primary, a standby that keeps up with its slots, one that has lost its WAL. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { compareLsn, type Postgres, type Session } from '@pgherd/postgres';
import { until } from '@pgherd/postgres/testing';
import { TestServers } from '@pgherd/postgres/testing-servers';
import { ensureSlots, followSlots, idleSlotsOfOthers, slotsOf } from './slots.ts';

const servers = new TestServers();
let one: Postgres;
let two: Postgres;
let primary: Session;
let standby: Session;

interface Row extends Record<string, unknown> {
  position: string | null;
  status: string | null;
}

async function slots(session: Session): Promise<Record<string, Row>> {
  const rows = await session.query<Row & { name: string }>(
    'select slot_name as name, restart_lsn::text as position, wal_status as status from pg_replication_slots order by 1',
  );
  return Object.fromEntries(rows.map(({ name, position, status }) => [name, { position, status }]));
}

/** Some WAL, in segments that are full. */
async function writeWal(segments: number): Promise<void> {
  for (let n = 0; n < segments; n++) {
    await primary.query("insert into t values ('x')");
    await primary.query('select pg_switch_wal()');
  }
}

const caughtUp = () =>
  until('the standby to replay all', async () => {
    const [row] = await primary.query<{ behind: string }>(
      'select pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as behind from pg_stat_replication',
    );
    return row !== undefined && Number(row.behind) <= 0;
  });

before(async () => {
  [one, two] = [await servers.make('one'), await servers.make('two')];
  await one.initdb({ dataChecksums: true, encoding: 'UTF8', locale: 'C' });
  await servers.startPrimary(one);
  primary = await servers.session(one);
  await primary.query('create table t (v text)');
  await two.baseBackup({ source: servers.upstream(one, 'copy'), sourceName: 'one' });
  await servers.startStandby(two, one, 'two');
  standby = await servers.session(two);
  await servers.streams(primary, 'two');
});

after(() => servers.end());

test('slots of those who left are dropped, those of others and of users stay', async () => {
  await primary.query("select pg_create_physical_replication_slot('mine')");
  await ensureSlots(primary, ['_pgherd_a', '_pgherd_b']);
  await ensureSlots(primary, ['_pgherd_b', '_pgherd_c']);
  assert.deepEqual(Object.keys(await slots(primary)), ['_pgherd_b', '_pgherd_c', 'mine']);
  assert.deepEqual(await idleSlotsOfOthers(primary), [], 'it keeps no WAL yet');
  await primary.query("select pg_create_physical_replication_slot('held', true)");
  assert.deepEqual(await idleSlotsOfOthers(primary), ['held (physical)']);
  await primary.query("select pg_drop_replication_slot('held')");
  await primary.query("select pg_drop_replication_slot('mine')");
});

test("a standby's slots follow the primary's, forward and no further than it has replayed", async () => {
  // As if b had connected: its slot has a position.
  await primary.query("select pg_drop_replication_slot('_pgherd_b')");
  await primary.query("select pg_create_physical_replication_slot('_pgherd_b', true)");
  await ensureSlots(standby, ['_pgherd_b', '_pgherd_c']);
  assert.equal((await slots(standby))._pgherd_b?.position, null);
  await caughtUp();
  await followSlots(standby, await slotsOf(primary));
  const first = (await slots(standby))._pgherd_b!.position!;
  assert.ok(first);
  assert.equal((await slots(standby))._pgherd_c?.position, null);
  await writeWal(2);
  await caughtUp();
  await primary.query("select pg_replication_slot_advance('_pgherd_b', pg_current_wal_lsn())");
  await followSlots(standby, await slotsOf(primary));
  const moved = (await slots(standby))._pgherd_b!.position!;
  assert.ok(compareLsn(first, moved) < 0);
  assert.equal(moved, (await slots(primary))._pgherd_b!.position);
  await followSlots(standby, await slotsOf(primary));
  assert.equal((await slots(standby))._pgherd_b!.position, moved);
});

test('a slot from a former life as primary keeps nothing back', async () => {
  await standby.query("select pg_drop_replication_slot('_pgherd_c')");
  await standby.query("select pg_create_physical_replication_slot('_pgherd_c', true)");
  await followSlots(standby, await slotsOf(primary));
  assert.equal((await slots(standby))._pgherd_c?.position, null);
});

test('one that has fallen back too far is cut off, and made anew', async () => {
  await one.writeSettings({ ...servers.settings(one), wal_keep_size: '0', max_slot_wal_keep_size: '32MB' });
  one.reload();
  await until('the bound', async () => {
    const [row] = await primary.query("select current_setting('max_slot_wal_keep_size') as v");
    return row?.v === '32MB';
  });
  await writeWal(6);
  await primary.query('checkpoint');
  assert.equal((await slots(primary))._pgherd_b?.status, 'lost');
  await ensureSlots(primary, ['_pgherd_b', '_pgherd_c']);
  assert.deepEqual((await slots(primary))._pgherd_b, { position: null, status: null });
});
