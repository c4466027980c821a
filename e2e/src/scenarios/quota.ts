import { ClusterKind, type ClusterObject, waitFor } from '@pgherd/cli';
import { type AnyObject, defineKind, kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const QuotaKind = defineKind<AnyObject>('', 'v1', 'ResourceQuota', 'resourcequotas');

export const quota: Scenario = {
  name: 'quota',
  title:
    'a quota that forbids volumes is told in the phase, and nothing else has to be done once it is raised',
  alongside: true,
  async run(stage) {
    await limit(stage, '0');
    const spec = stage.fitted({ instances: 1, storage: { size: '1Gi' } });
    const cluster = {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: { name: stage.cluster, namespace: stage.namespace },
      spec,
    };
    await stage.client.create(ClusterKind, cluster as unknown as ClusterObject);
    await waitFor(
      async () => /exceeded quota: volumes/.test((await stage.getCluster()).status?.phaseReason ?? ''),
      { timeoutMs: stage.patience(30_000), describe: () => 'the phase does not name the quota' },
    );
    await stage.client.patch(
      QuotaKind,
      { namespace: stage.namespace, name: 'volumes' },
      { type: 'merge', body: { spec: { hard: { persistentvolumeclaims: '5' } } } },
    );
    await stage.ready();
    await canBeEvicted(stage);
  },
};

async function limit(stage: Stage, claims: string): Promise<void> {
  const { namespace } = stage;
  await stage.client.create(QuotaKind, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'volumes', namespace },
    spec: { hard: { persistentvolumeclaims: claims } },
  });
  // It holds once its controller has counted.
  await waitFor(
    async () => {
      const found = await stage.client.get(QuotaKind, { namespace, name: 'volumes' });
      return (found.status as { hard?: object } | undefined)?.hard !== undefined;
    },
    { timeoutMs: stage.patience(30_000), everyMs: 50, describe: () => 'the quota is not in force' },
  );
}

/** A single instance has no budget: its node can be drained. */
async function canBeEvicted(stage: Stage): Promise<void> {
  const ref = { namespace: stage.namespace, name: `${stage.cluster}-1` };
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: ref };
  // A refusal is an error here.
  await stage.client.post(kinds.Pod, ref, 'eviction', body);
  await stage.ready();
}
