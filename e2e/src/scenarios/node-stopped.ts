import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { breakNode, nodeBeside, nodeOf } from '../faults.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** Three times the aim: the tests' machine is busy. */
const LIMIT_MS = 12_000;
/** A manager that has run for less promises nothing, since it does not know what it granted. */
const SETTLED_MS = 11_000;

export const nodeStopped: Scenario = {
  name: 'node-stopped',
  title: "the primary's node is stopped without a word",
  needs: 'local',
  async run(stage) {
    await stage.createCluster();
    const primary = await stage.primary();
    const writer = await stage.startWriter({ node: await nodeBeside(stage, primary) });
    await managersKnow(stage);
    const since = stage.now();
    const start = await breakNode(stage.world, await nodeOf(stage, primary), 'stop');
    try {
      const next = await stage.newPrimary(primary);
      stage.note(`${primary} -> ${next}`);
      await stage.written(writer, 300);
    } finally {
      await start();
    }
    await stage.ready();
    const { outageMs } = await stage.check(writer, since);
    assert.ok(outageMs < LIMIT_MS, `writes were interrupted for ${outageMs} ms`);
    // Its node has only just been started.
    const role = () =>
      stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]).catch(() => undefined);
    await waitFor(async () => (await role()) === 't', {
      timeoutMs: 60_000,
      describe: () => `${primary} does not follow`,
    });
  },
};

/** Waits until no manager was started just now: such ones would answer for their age, not for the fault. */
async function managersKnow(stage: Stage): Promise<void> {
  const youngest = async () => {
    const started = (await stage.instances()).map((pod) =>
      Date.parse(pod.status?.containerStatuses?.[0]?.state?.running?.startedAt ?? ''),
    );
    return Date.now() - Math.max(...started);
  };
  await waitFor(async () => (await youngest()) > SETTLED_MS, {
    timeoutMs: 30_000,
    describe: () => 'an instance was started just now',
  });
}
