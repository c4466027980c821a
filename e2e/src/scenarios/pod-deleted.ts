import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

export const podDeleted: Scenario = {
  name: 'primary-pod-deleted',
  title: "the primary's pod is deleted",
  async run(stage) {
    await stage.createCluster();
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
  async run(stage) {
    await stage.createCluster();
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

/** Deletes a pod, and waits until another one of the same name, on the same volume, is there. */
async function deleteAndReplace(stage: Stage, name: string): Promise<void> {
  const old = await stage.pod(name);
  await stage.client.delete(kinds.Pod, { namespace: stage.namespace, name });
  await waitFor(
    async () => {
      const pod = await stage.client.find(kinds.Pod, { namespace: stage.namespace, name });
      return pod !== undefined && pod.metadata.uid !== old.metadata.uid;
    },
    { timeoutMs: 60_000, everyMs: 50, describe: () => `pod ${name} has not been made again` },
  );
}
