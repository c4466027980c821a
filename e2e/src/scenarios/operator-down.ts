import assert from 'node:assert/strict';
import { names, OPERATOR_NAMESPACE } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import { type Deployment, kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

export const operatorDown: Scenario = {
  name: 'operator-down',
  title: "the operator is killed and kept down while all processes in the primary's pod are killed",
  async run(stage) {
    await stage.createCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const deployment = await operator(stage);
    await scaleOperator(stage, deployment, 0);
    try {
      const since = stage.now();
      await stage.killEverything(primary);
      const next = await stage.newPrimary(primary);
      await stage.written(writer, 300);
      const service = await stage.client.get(kinds.Service, {
        namespace: stage.namespace,
        name: names(stage.cluster).rw,
      });
      assert.equal(
        service.spec?.selector?.['pgherd.io/instance'],
        next,
        'the -rw service must point at the new primary',
      );
      assert.equal((await operatorPods(stage)).length, 0, 'the operator must have been away all the time');
      stage.note(`${primary} -> ${next}`);
      await stage.check(writer, since);
    } finally {
      await scaleOperator(stage, deployment, deployment.spec?.replicas ?? 1);
    }
    await stage.ready();
  },
};

async function operator(stage: Stage): Promise<Deployment> {
  const { items } = await stage.client.list(kinds.Deployment, { namespace: OPERATOR_NAMESPACE });
  assert.equal(items.length, 1, 'there must be one Deployment of the operator');
  return items[0] as Deployment;
}

async function operatorPods(stage: Stage) {
  return (await stage.client.list(kinds.Pod, { namespace: OPERATOR_NAMESPACE })).items;
}

async function scaleOperator(stage: Stage, deployment: Deployment, replicas: number): Promise<void> {
  const ref = { namespace: OPERATOR_NAMESPACE, name: deployment.metadata.name };
  await stage.client.patch(kinds.Deployment, ref, { type: 'merge', body: { spec: { replicas } } });
  if (replicas === 0) {
    // Killed, not asked: the pods go without grace.
    for (const pod of await operatorPods(stage)) {
      await stage.killEverythingOf(pod);
      await stage.client.delete(kinds.Pod, pod.metadata, { gracePeriodSeconds: 0 }).catch(() => {});
    }
  }
  await waitFor(
    async () =>
      (await operatorPods(stage)).filter((pod) => pod.status?.phase === 'Running').length === replicas,
    {
      timeoutMs: 60_000,
      everyMs: 50,
      describe: () => `the operator does not have ${replicas} pods`,
    },
  );
}
