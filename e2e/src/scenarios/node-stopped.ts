import { waitFor } from '@pgherd/cli';
import { breakNode, nodeBeside, nodeOf } from '../faults.ts';
import type { Scenario } from '../scenario.ts';

/** Three times the aim: the tests' machine is busy. */
const LIMIT_MS = 12_000;

export const nodeStopped: Scenario = {
  name: 'node-stopped',
  title: "the primary's node is stopped without a word",
  needs: 'local',
  because: 'it kills all that runs on a node, which has to be done to the machine itself',
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const primary = await stage.primary();
    const writer = await stage.startWriter({ node: await nodeBeside(stage, primary) });
    await stage.managersKnow();
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
    await stage.check(writer, since, LIMIT_MS);
    // Its node has only just been started.
    const role = () =>
      stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]).catch(() => undefined);
    await waitFor(async () => (await role()) === 't', {
      timeoutMs: 60_000,
      describe: () => `${primary} does not follow`,
    });
  },
};
