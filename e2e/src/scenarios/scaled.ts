import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';

export const scaled: Scenario = {
  name: 'scaled',
  title: 'the number of instances goes from 1 to 3 to 2 under write load',
  async run(stage) {
    await stage.createCluster({ instances: 1, postgresql: {} });
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    await stage.scale(3);
    const three = await stage.ready();
    assert.equal(three.status?.readyInstances, 3);
    await stage.written(writer, 200);
    await stage.scale(2);
    await waitFor(async () => (await stage.instances()).length === 2, {
      timeoutMs: stage.patience(60_000),
      describe: () => 'the third instance has not gone',
    });
    await stage.ready();
    await stage.written(writer, 200);
    assert.equal(await stage.primary(), primary, 'scaling must never touch the primary');
    await stage.check(writer, since, 1_000);
  },
};
