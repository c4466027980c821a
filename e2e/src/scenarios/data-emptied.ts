import assert from 'node:assert/strict';
import type { Scenario } from '../scenario.ts';

export const dataEmptied: Scenario = {
  name: 'data-emptied',
  title: "the primary's data directory is emptied while it runs",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    await stage.inPod(primary, 'find "$PGDATA" -mindepth 1 -delete 2>/dev/null; true');
    const next = await stage.newPrimary(primary, 90_000);
    stage.note(`${primary} -> ${next}`);
    await stage.written(writer, 300);
    // It comes back by itself, as a replica, on a fresh copy.
    await stage.ready();
    await stage.check(writer, since);
    assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
  },
};
