import assert from 'node:assert/strict';
import type { Scenario } from '../scenario.ts';

export const managerFrozen: Scenario = {
  name: 'manager-frozen',
  title: "the primary's instance manager is frozen with SIGSTOP while PostgreSQL runs",
  async run(stage) {
    await stage.createCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    await stage.signalManager(primary, 'STOP');
    // Nobody thaws it: the guard must kill PostgreSQL by itself, before another instance may lead.
    const next = await stage.newPrimary(primary);
    stage.note(`${primary} -> ${next}`);
    await stage.written(writer, 300);
    await stage.ready();
    await stage.check(writer, since);
    assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
  },
};
