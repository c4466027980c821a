import assert from 'node:assert/strict';
import { isFinished, OPERATOR_NAMESPACE, type Operation } from '@pgherd/api';
import { OperationKind, waitFor } from '@pgherd/cli';
import { kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { fenced } from './switchover.ts';

export const dayTwo: Scenario = {
  name: 'day-two',
  title: 'restart with the operator killed in the middle, fencing of the primary, hibernation',
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    await stage.sql('CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 1000)');
    await restarted(stage);
    await primaryFenced(stage);
    await slept(stage);
    assert.equal(await stage.sql('SELECT count(*) FROM kept'), '1000');
  },
};

/** Every pod is a new one, although the operator died on the way. */
async function restarted(stage: Stage): Promise<void> {
  const before = await podUIDs(stage);
  const asked = await stage.cli(['restart', stage.cluster, '--no-wait', '-o', 'json']);
  assert.equal(asked.code, 0, asked.stderr);
  const { metadata } = JSON.parse(asked.stdout) as Operation;
  const ref = { namespace: stage.namespace, name: metadata.name };
  await waitFor(async () => (await stage.client.get(OperationKind, ref)).status?.notes?.pods !== undefined, {
    timeoutMs: stage.patience(20_000),
    everyMs: 50,
    describe: () => 'the restart has not begun',
  });
  const { items } = await stage.client.list(kinds.Pod, { namespace: OPERATOR_NAMESPACE });
  for (const pod of items) await stage.killEverythingOf(pod);
  let last: Operation | undefined;
  await waitFor(
    async () => {
      last = await stage.client.get(OperationKind, ref);
      return isFinished(last);
    },
    {
      timeoutMs: stage.patience(90_000),
      everyMs: 100,
      describe: () => `the restart: ${last?.status?.message}`,
    },
  );
  assert.equal(last?.status?.phase, 'Succeeded', last?.status?.message);
  const after = await podUIDs(stage);
  for (const [name, uid] of Object.entries(before))
    assert.notEqual(after[name], uid, `${name} was not restarted`);
}

/** Another takes over from a primary that is fenced, whose pod stays; without its fence it follows again. */
async function primaryFenced(stage: Stage): Promise<void> {
  const primary = await stage.primary();
  const { uid } = (await stage.pod(primary)).metadata;
  await fenced(stage, 'on', primary);
  const next = await stage.newPrimary(primary);
  const { stdout } = await stage.cli(['status', stage.cluster]);
  assert.match(stdout.replace(/\s+/g, ' '), new RegExp(`${primary}: it is fenced`));
  assert.equal(
    await stage.inPod(primary, 'ls "$PGDATA/postmaster.pid" 2>/dev/null || echo stopped'),
    'stopped',
  );
  await fenced(stage, 'off', primary);
  await stage.ready();
  assert.equal((await stage.pod(primary)).metadata.uid, uid, 'the pod stays');
  assert.equal(await stage.primary(), next, 'the end of a fence must not change the primary');
}

/** Asleep there is no pod; awake it is as before. */
async function slept(stage: Stage): Promise<void> {
  const primary = await stage.primary();
  const on = await stage.cli(['hibernate', 'on', stage.cluster]);
  assert.equal(on.code, 0, on.stderr);
  assert.deepEqual(await stage.instances(), []);
  const off = await stage.cli(['hibernate', 'off', stage.cluster]);
  assert.equal(off.code, 0, off.stderr);
  assert.equal(await stage.primary(), primary);
}

async function podUIDs(stage: Stage): Promise<Record<string, string | undefined>> {
  return Object.fromEntries((await stage.instances()).map(({ metadata }) => [metadata.name, metadata.uid]));
}
