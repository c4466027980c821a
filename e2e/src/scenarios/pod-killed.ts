import assert from 'node:assert/strict';
import type { Scenario } from '../scenario.ts';

export const podKilled: Scenario = {
  name: 'pod-killed',
  title: "all processes in the primary's pod are killed with SIGKILL",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    const next = await stage.primaryAfterKill(primary);
    stage.note(`${primary} -> ${next}`);
    await stage.written(writer, 300);
    await stage.ready();
    await stage.check(writer, since);
    if (next !== primary)
      assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
  },
};
