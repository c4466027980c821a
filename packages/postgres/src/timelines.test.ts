/** Numbers of timelines on real servers: no promotion takes one that was reserved, and nobody stumbles over the gap. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { highestHistory, historyName, type Postgres, type Session } from './index.ts';
import { until } from './testing.ts';
import { TestServers } from './testing-servers.ts';

const servers = new TestServers();
const { session, startPrimary, startStandby, upstream, streams } = servers;
const STOP = { fastMs: 5000, immediateMs: 1000 };
let one: Postgres;
let two: Postgres;
let three: Postgres;
let late: Postgres;

const copy = async (from: Postgres, to: Postgres) =>
  to.baseBackup({ source: upstream(from, 'copy'), sourceName: 'source' });

const history = (pg: Postgres, timeline: number) => join(pg.pgdata, 'pg_wal', historyName(timeline));

async function promoteTo(pg: Postgres, timeline: number): Promise<Session> {
  const sql = await session(pg);
  assert.equal(await pg.promote(sql, { deadlineMs: 10_000, timeline }), timeline);
  await sql.query('insert into t values ($1)', [timeline]);
  return sql;
}

/** A running standby turns to another upstream. */
async function follow(pg: Postgres, from: Postgres, name: string): Promise<void> {
  await pg.writeRoleSettings({
    standby: true,
    primaryConninfo: upstream(from, name),
    synchronousStandbyNames: '',
  });
  pg.reload();
  await streams(await session(from), name);
}

before(async () => {
  [one, two, three, late] = (await Promise.all(
    ['one', 'two', 'three', 'late'].map((name) => servers.make(name)),
  )) as [Postgres, Postgres, Postgres, Postgres];
  await one.initdb({ dataChecksums: true, encoding: 'UTF8', locale: 'C' });
  await startPrimary(one);
  await (await session(one)).query('create table t (id int primary key)');
  for (const pg of [two, three, late]) await copy(one, pg);
  await Promise.all([startStandby(two, one, 'two'), startStandby(three, one, 'three')]);
  await streams(await session(one), 'two');
  await streams(await session(one), 'three');
});

after(() => servers.end());

test('a promotion skips the numbers below the one that was reserved', async () => {
  await one.stop(STOP);
  const sql = await promoteTo(two, 5);
  await follow(three, two, 'three');
  await sql.query('checkpoint');
  assert.equal(await highestHistory(three.pgdata), 5);
});

test('the old primary is rewound across the gap and follows', async () => {
  await startPrimary(one);
  await (await session(one)).query('insert into t values (99)');
  await one.stop(STOP);
  const result = await one.rewind({ source: `${upstream(two, 'one')} dbname='postgres'`, sourceName: 'two' });
  assert.equal(result.rewound, true);
  await startStandby(one, two, 'one');
  await streams(await session(two), 'one');
});

test('a fresh copy across the gap is promoted with a gap of its own, and all others follow it', async () => {
  const fresh = await servers.make('fresh');
  await copy(two, fresh);
  await startStandby(fresh, two, 'fresh');
  await streams(await session(two), 'fresh');
  await two.stop(STOP);
  await promoteTo(fresh, 9);
  await follow(one, fresh, 'one');
  await follow(three, fresh, 'three');
  await fresh.stop(STOP);
});

test('a number that was used meanwhile is skipped as well', async () => {
  writeFileSync(history(one, 12), '1\t0/3000000\tsomebody else\n', { mode: 0o600 });
  const sql = await session(one);
  assert.equal(await one.promote(sql, { deadlineMs: 10_000, timeline: 12 }), 13);
});

test('a standby that was to be promoted and was not starts again', async () => {
  await three.stop(STOP);
  // As it is left behind by a crash between the reservation and the promotion.
  for (const timeline of [10, 11, 12]) writeFileSync(history(three, timeline), '', { mode: 0o600 });
  await startStandby(three, one, 'three');
  await streams(await session(one), 'three');
  const sql = await session(three);
  await until('the new timeline', async () => {
    const [row] = await sql.query('select received_tli as tli from pg_stat_wal_receiver');
    return row?.tli === 13;
  });
});

test('one that has slept since the first timeline asks for the history of every number in between', async () => {
  // It has slept since the first timeline: it asks for the history of every number in between.
  await startStandby(late, one, 'late');
  await streams(await session(one), 'late');
  const sql = await session(late);
  await until('all rows', async () => {
    const rows = await sql.query<{ id: number }>('select id from t order by id');
    return rows.map((row) => row.id).join() === '5,9';
  });
});
