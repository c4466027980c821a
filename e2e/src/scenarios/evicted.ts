import assert from 'node:assert/strict';
import { names } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import { isKubeError, kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

export const evicted: Scenario = {
  name: 'evicted',
  title: "the primary's pod is evicted, as by a drain; while it is away no other instance may be",
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const others = await stage.replicas();
    await budgetAllows(stage, 1);
    const since = stage.now();
    await evict(stage, primary);
    await assert.rejects(
      evict(stage, others[0] ?? ''),
      (error) =>
        isKubeError(error, 'TooManyRequests') && error.details?.causes?.[0]?.reason === 'DisruptionBudget',
      'two instances could be evicted at once',
    );
    const next = await stage.newPrimary(primary);
    assert.ok(others.includes(next));
    stage.note(`${primary} -> ${next}`);
    await stage.written(writer, 200);
    await stage.ready();
    await stage.check(writer, since, stage.patience(10_000));
  },
};

async function budgetAllows(stage: Stage, wanted: number): Promise<void> {
  const ref = { namespace: stage.namespace, name: names(stage.cluster).pdb };
  await waitFor(
    async () => {
      const { status } = await stage.client.get(kinds.PodDisruptionBudget, ref);
      return (status as { disruptionsAllowed?: number } | undefined)?.disruptionsAllowed === wanted;
    },
    {
      timeoutMs: stage.patience(30_000),
      everyMs: 100,
      describe: () => `the budget does not allow ${wanted} disruptions`,
    },
  );
}

async function evict(stage: Stage, name: string): Promise<void> {
  const ref = { namespace: stage.namespace, name };
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: ref };
  await stage.client.post(kinds.Pod, ref, 'eviction', body);
}
