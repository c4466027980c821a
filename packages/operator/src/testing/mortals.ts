/** Operators one after the other, each killed as soon as anything has moved on. */
import { isFinished, type RecoveredReport } from '@pgherd/api';
import { type Client, kinds, type PersistentVolumeClaim, type Pod } from '@pgherd/kube';
import type { Question } from '../cluster/controller.ts';
import { ClusterKind } from '../cluster/kind.ts';
import { OperationKind, type OperationObject } from '../operation/kind.ts';
import { eventually, type TestApi } from './api.ts';
import { createStage, type Stage } from './instances.ts';
import { operate } from './operator.ts';

const namespace = 'default';
/** More lives than any operation needs. */
const LIVES = 30;

/** What an instance reports of itself that has to restore something, by the id of that. */
export type Restored = (id: string) => object;

/** One that has restored what was asked for. */
export const hasRecovered: Restored = (id) => {
  const recovered: RecoveredReport = {
    id,
    backup: 'B',
    lsn: '0/5',
    timeline: 2,
    finishedAt: '2026-06-01T12:00:00Z',
  };
  return { recovered };
};

/** What a running instance says of the repository. */
export function answerAll(_: string, { path }: Question) {
  const now = Date.now();
  if (path === '/backrest/seal') return { status: 200, body: { at: new Date(now).toISOString() } };
  const window = { firstMs: now - 60_000, lastMs: now };
  return { status: 200, body: { ok: true, chosen: { backup: 'B', timeline: 1 }, window } };
}

/** A cluster of two with a repository, whole; no operator runs any more. */
export async function bringWhole(api: TestApi, name: string): Promise<Stage> {
  const stage = createStage(api.admin, name);
  const operator = operate(api.operator, stage);
  await api.admin.create(ClusterKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace },
    spec: {
      instances: 2,
      storage: { size: '1Gi' },
      backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] },
    },
  } as never);
  await stage.run(`${name}-1`, 'primary');
  await stage.run(`${name}-2`);
  await stage.lead(`${name}-1`, [`${name}-1`, `${name}-2`], { timeline: 1 });
  await eventually(`${name} to be whole`, async () => {
    const { status } = await api.admin.get(ClusterKind, { namespace, name });
    return status?.readyInstances === 2;
  });
  await operator.stop();
  return stage;
}

/**
 * What the kubelet and the instances do meanwhile: pods end when they are deleted, and begin when they are made, those
 * that may.
 */
export async function live(
  admin: Client,
  stage: Stage,
  name: string,
  restored: Restored,
  mayBegin = (_instance: string): boolean => true,
): Promise<void> {
  const { items } = await admin.list<Pod>(kinds.Pod as never, {
    namespace,
    labelSelector: `pgherd.io/cluster=${name},pgherd.io/instance`,
  });
  for (const { metadata } of items) {
    const { name: instance, uid, deletionTimestamp } = metadata;
    if (deletionTimestamp) {
      stage.answers.delete(instance);
      await admin.delete(kinds.Pod, metadata, { gracePeriodSeconds: 0 }).catch(() => undefined);
    } else if (stage.answers.get(instance)?.podUID !== uid && mayBegin(instance))
      await begin(admin, stage, { name, instance, restored });
  }
}

/** The instance restores, or follows who leads; with the state from before, the first one leads again. */
async function begin(
  admin: Client,
  stage: Stage,
  { name, instance, restored }: { name: string; instance: string; restored: Restored },
): Promise<void> {
  const { designated, holder, systemID } = await stage.lease();
  const { spec, status } = await admin.get(ClusterKind, { namespace, name });
  const { restoration, recovered } = status ?? {};
  // As an instance does: it waits to be told what is to be restored.
  if (spec.bootstrap && !restoration && !recovered) return;
  if (designated === instance && !systemID && restoration) {
    const more = restored(restoration.id);
    await stage.run(instance, 'primary', more);
    if (!('error' in more)) await stage.lead(instance, [instance], { timeline: 2 });
  } else if (!holder && instance === `${name}-1`) {
    await stage.run(instance, 'primary');
    await stage.lead(instance, [`${name}-1`, `${name}-2`]);
  } else await stage.run(instance, 'replica', { upstream: designated });
}

/** Names of the volumes of a cluster's instances. */
export async function claimsOf(admin: Client, name: string): Promise<string[]> {
  const { items } = await admin.list<PersistentVolumeClaim>(kinds.PersistentVolumeClaim as never, {
    namespace,
    labelSelector: `pgherd.io/cluster=${name},pgherd.io/instance`,
  });
  return items.map(({ metadata }) => metadata.name).sort();
}

/**
 * Until the operation has ended. `about`: the cluster whose restoration is under way; `world`: what everybody else
 * does, told what has been seen so far. Resolves with the operation and with `STEP/STAGE` at each kill.
 */
export async function byMortals(
  api: TestApi,
  o: { stage: Stage; operation: string; about: string; world: (seen: readonly string[]) => Promise<void> },
): Promise<{ ended: OperationObject; seen: string[] }> {
  const seen: string[] = [];
  const look = async () => {
    const now = await api.admin.get(OperationKind, { namespace, name: o.operation });
    const step = now.status?.steps?.find(({ state }) => state === 'Running')?.name ?? now.status?.phase;
    const cluster = await api.admin.find(ClusterKind, { namespace, name: o.about });
    return { now, at: `${step}/${cluster?.status?.restoration?.stage}` };
  };
  while (seen.length < LIVES) {
    const operator = operate(api.operator, o.stage, { answer: answerAll });
    try {
      const { now, at } = await eventually(
        `anything to follow ${seen.at(-1)}`,
        async () => {
          await o.world(seen);
          const found = await look();
          return (found.at !== seen.at(-1) || isFinished(found.now)) && found;
        },
        30_000,
      );
      seen.push(at);
      if (isFinished(now)) return { ended: now, seen };
    } finally {
      await operator.stop();
    }
  }
  throw new Error(`it has not ended: ${seen.join(', ')}`);
}
