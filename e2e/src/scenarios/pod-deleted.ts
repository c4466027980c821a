import assert from 'node:assert/strict';
import { deleteAndReplace } from '../faults.ts';
import type { Scenario } from '../scenario.ts';

export const podDeleted: Scenario = {
  name: 'primary-pod-deleted',
  title: "the primary's pod is deleted",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const since = stage.now();
    await deleteAndReplace(stage, primary);
    const next = await stage.newPrimary(primary);
    stage.note(`${primary} -> ${next}`);
    await stage.written(writer, 300);
    await stage.ready();
    await stage.check(writer, since);
    assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
  },
};

export const replicaDeleted: Scenario = {
  name: 'replica-pod-deleted',
  title: "a replica's pod is deleted",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const [replica] = await stage.replicas();
    assert.ok(replica);
    const since = stage.now();
    await deleteAndReplace(stage, replica);
    await stage.written(writer, 300);
    await stage.ready();
    await stage.check(writer, since);
    assert.equal(await stage.primary(), primary, 'the loss of a replica must not change the primary');
  },
};
