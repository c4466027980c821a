/** A primary that lives on without the others knowing: frozen and thawed, or cut off with a client beside it. */
import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import type { RunningWriter } from '@pgherd/cli/writer/start';
import { breakNode, nodeBeside, nodeOf } from '../faults.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** Shorter than the defaults, so that the tests need not wait; seconds. */
const LEASE = { renewInterval: 0.5, stopAfter: 2, guardAfter: 3, takeAfter: 4 };
/** Three times what is promised for a thawed primary without synchronous replication: the machine is busy. */
const THAWED_MS = 900;
/** From the cut until the primary has stopped: stopAfter, and what a busy machine adds. */
const STOPPED_MS = LEASE.stopAfter * 1000 + 2_000;

const BECAUSE = 'it freezes a node and cuts it off, which has to be done to the machine itself';

type Mode = 'sync' | 'async';

export const nodeLostSync: Scenario = {
  name: 'node-lost-sync',
  title: "the primary's node is frozen and thawed, then cut off; replication is synchronous",
  needs: 'local',
  because: BECAUSE,
  run: (stage) => loseNode(stage, 'sync'),
};

export const nodeLostAsync: Scenario = {
  name: 'node-lost-async',
  title: "the primary's node is frozen and thawed, then cut off; replication is asynchronous",
  needs: 'local',
  because: BECAUSE,
  run: (stage) => loseNode(stage, 'async'),
};

async function loseNode(stage: Stage, mode: Mode): Promise<void> {
  await stage.createCluster({
    primaryLease: LEASE,
    ...(mode === 'async' ? { postgresql: {} } : {}),
  });
  await freeze(stage, mode);
  await isolate(stage, mode);
}

async function freeze(stage: Stage, mode: Mode): Promise<void> {
  const primary = await stage.primary();
  const beside = await nodeBeside(stage, primary);
  const writer = await stage.startWriter({ node: beside, table: 'frozen' });
  // Its statements lie in the frozen server's buffers: what it thaws with.
  const session = await stage.holdSession({ instance: primary, from: { node: beside }, pipeline: 20 });
  const thaw = await breakNode(stage.world, await nodeOf(stage, primary), 'freeze');
  let thawedAt: number;
  try {
    await stage.newPrimary(primary);
    await stage.written(writer, 100);
  } finally {
    thawedAt = stage.now();
    await thaw();
  }
  await sessionEnds(session, thawedAt);
  await rejoined(stage);
  await stage.ready();
  const after = session.recording.times.filter((time) => time > thawedAt);
  const lost = await stage.lostBy(session);
  const lastMs = Math.round((after.at(-1) ?? thawedAt) - thawedAt);
  stage.note(`frozen: ${after.length} acknowledged after the thaw, ${lost.length} lost`);
  if (mode === 'sync') {
    assert.deepEqual(lost, [], 'the frozen primary has lost what it acknowledged');
    // What a replica had before the freeze may still be told to the one client that waited for it.
    assert.ok(after.length <= 1, `the thawed primary acknowledged ${after.length} writes`);
  } else {
    stage.note(`the last one ${lastMs} ms after it`);
    assert.ok(lastMs < THAWED_MS, `the thawed primary acknowledged for ${lastMs} ms`);
  }
  await judge(stage, writer, 'frozen', mode);
}

async function isolate(stage: Stage, mode: Mode): Promise<void> {
  const primary = await stage.primary();
  const beside = await nodeBeside(stage, primary);
  const writer = await stage.startWriter({ node: beside, table: 'isolated' });
  const session = await stage.holdSession({ instance: primary, from: { node: beside } });
  const cutAt = stage.now();
  // From the API and the other instances: what an open session gets meanwhile is the question.
  const join = await breakNode(stage.world, await nodeOf(stage, primary), 'isolate', { keepClients: true });
  try {
    await stage.newPrimary(primary);
    await stage.written(writer, 100);
    await sessionEnds(session, cutAt);
  } finally {
    await join();
  }
  await stage.ready();
  const after = session.recording.times.filter((time) => time > cutAt);
  const lost = await stage.lostBy(session);
  const lastMs = Math.round((after.at(-1) ?? cutAt) - cutAt);
  stage.note(
    `isolated: ${after.length} acknowledged after the cut, the last one after ${lastMs} ms, ${lost.length} lost`,
  );
  if (mode === 'sync') assert.deepEqual(lost, [], 'what the isolated primary acknowledged must be there');
  else assert.ok(lastMs < STOPPED_MS, `the isolated primary acknowledged for ${lastMs} ms`);
  await judge(stage, writer, 'isolated', mode);
}

/** Waits until the thawed one counts again: what is said of a cluster is a moment old, and a second fault would be two. */
async function rejoined(stage: Stage): Promise<void> {
  const streams = `select count(*) from pg_stat_replication where state = 'streaming' and application_name !~ '[.]'`;
  await waitFor(async () => (await stage.sql(streams).catch(() => '')) === '2', {
    timeoutMs: stage.patience(60_000),
    everyMs: 100,
    describe: () => 'the thawed instance does not stream',
  });
}

/** Waits until the client that is bound to the old primary has been told that it is over. */
async function sessionEnds({ recording }: RunningWriter, since: number): Promise<void> {
  await waitFor(async () => recording.ended || recording.lost.some(({ at }) => at > since), {
    timeoutMs: 30_000,
    everyMs: 20,
    describe: () => 'the session to the old primary has not been ended',
  });
}

/** The writer through -rw: with synchronous replication it has lost nothing. */
async function judge(stage: Stage, writer: RunningWriter, table: string, mode: Mode): Promise<void> {
  const recording = await writer.stop();
  const lost = recording.missing(await stage.idsIn(table));
  stage.note(
    `${table}: write outage ${(recording.longestOutage().ms / 1000).toFixed(2)} s, ${lost.length} of ${recording.acknowledged} acknowledged writes missing`,
  );
  if (mode === 'sync') assert.deepEqual(lost, [], 'acknowledged writes are missing');
}
