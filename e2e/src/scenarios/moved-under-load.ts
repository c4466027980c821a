import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { nodeOf } from '../faults.ts';
import { countFailed, type Pgbench, startPgbench } from '../pgbench-pod.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const CLIENTS = 8;
const PGBENCH_MS = 60_000;
/** Ten times the aim: the machine may be busy, and the figure is in the report. */
const LIMIT_MS = 5_000;

export const movedUnderLoad: Scenario = {
  name: 'moved-under-load',
  title: 'under 8 pgbench clients, the primary is switched over, and then its node is drained',
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const pgbench = await startPgbench(stage);
    const loaded = await pgbench(['-i', '-q', '-s', '2'], PGBENCH_MS);
    assert.equal(loaded.code, 0, loaded.stderr);
    await underLoad(stage, pgbench, 'switchover', async () => {
      const { code, stderr } = await stage.cli(['switchover', stage.cluster, '--yes']);
      assert.equal(code, 0, stderr);
    });
    await underLoad(stage, pgbench, 'drain', drain);
  },
};

/** Does that while pgbench runs and a writer records; notes the outage. */
async function underLoad(
  stage: Stage,
  pgbench: Pgbench,
  what: string,
  move: (stage: Stage, primary: string) => Promise<void>,
): Promise<void> {
  const table = `during_${what}`;
  const primary = await stage.primary();
  const writer = await stage.startWriter({ table });
  // Its clients give up at their first error; if none had any, it would run for this long.
  const running = pgbench(['-n', '-c', String(CLIENTS), '-T', '10'], PGBENCH_MS);
  await stage.written(writer, 100);
  const since = stage.now();
  await move(stage, primary);
  const next = await stage.newPrimary(primary);
  await stage.written(writer, 100);
  const { stderr } = await running;
  await stage.ready();
  const recording = await writer.stop();
  const lost = recording.missing(await stage.idsIn(table));
  const outage = recording.longestOutage(since);
  stage.note(
    `${what}: ${primary} -> ${next}, write outage ${(outage.ms / 1000).toFixed(2)} s, ${lost.length} of ${recording.acknowledged} acknowledged writes missing, ${countFailed(stderr)} of ${CLIENTS} pgbench clients got an error`,
  );
  assert.deepEqual(lost, [], 'acknowledged writes are missing');
  stage.bearable(outage, LIMIT_MS);
}

/** Drains the primary's node of its instance, as an administrator does, and takes the node into service again. */
async function drain(stage: Stage, primary: string): Promise<void> {
  const node = await nodeOf(stage, primary);
  try {
    const { code, stderr } = await stage.kubectl(
      [
        ...['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'],
        `--pod-selector=pgherd.io/instance=${primary}`,
      ],
      { timeoutMs: 90_000 },
    );
    assert.equal(code, 0, stderr);
    await waitFor(async () => (await stage.leader()) !== primary, {
      timeoutMs: 30_000,
      describe: () => `${primary} still leads`,
    });
  } finally {
    const { code, stderr } = await stage.kubectl(['uncordon', node]);
    assert.equal(code, 0, stderr);
  }
}
