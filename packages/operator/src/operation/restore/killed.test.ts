/** A restore in place of which each step is carried on by another operator: the one before was killed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ANNOTATION_RESTORE, isFinished, type RecoveredReport } from '@pgherd/api';
import { kinds, type PersistentVolumeClaim, type Pod } from '@pgherd/kube';
import type { Question } from '../../cluster/controller.ts';
import { ClusterKind, type ClusterObject } from '../../cluster/kind.ts';
import { eventually, startTestApi, type TestApi } from '../../testing/api.ts';
import { createStage, type Stage } from '../../testing/instances.ts';
import { operate } from '../../testing/operator.ts';
import { OperationKind, type OperationObject } from '../kind.ts';

const namespace = 'default';
/** More lives than any restore needs. */
const LIVES = 30;

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

/** What a running instance says of the repository. */
function answer(_: string, { path }: Question) {
  const now = Date.now();
  if (path === '/backrest/seal') return { status: 200, body: { at: new Date(now).toISOString() } };
  const window = { firstMs: now - 60_000, lastMs: now };
  return { status: 200, body: { ok: true, chosen: { backup: 'B', timeline: 1 }, window } };
}

async function bring(name: string): Promise<Stage> {
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
  } as unknown as ClusterObject);
  await stage.run(`${name}-1`, 'primary');
  await stage.run(`${name}-2`);
  await stage.lead(`${name}-1`, [`${name}-1`, `${name}-2`], { timeline: 1 });
  await eventually(`${name} to be whole`, async () => (await cluster(name)).status?.readyInstances === 2);
  await operator.stop();
  return stage;
}

const cluster = (name: string) => api.admin.get(ClusterKind, { namespace, name });

/** What the kubelet and the instances do meanwhile: pods end when they are deleted, and begin when they are made. */
async function live(stage: Stage, name: string, restored: (id: string) => object): Promise<void> {
  const { items } = await api.admin.list<Pod>(kinds.Pod as never, {
    namespace,
    labelSelector: `pgherd.io/cluster=${name},pgherd.io/instance`,
  });
  for (const { metadata } of items) {
    const { name: instance, uid, deletionTimestamp } = metadata;
    if (deletionTimestamp) {
      stage.answers.delete(instance);
      await api.admin.delete(kinds.Pod, metadata, { gracePeriodSeconds: 0 }).catch(() => undefined);
    } else if (stage.answers.get(instance)?.podUID !== uid) await begin(stage, name, instance, restored);
  }
}

/** The instance restores, or follows who leads; with the state from before, the first one leads again. */
async function begin(
  stage: Stage,
  name: string,
  instance: string,
  restored: (id: string) => object,
): Promise<void> {
  const { designated, holder, systemID } = await stage.lease();
  const { restoration } = (await cluster(name)).status ?? {};
  if (designated === instance && !systemID && restoration) {
    const more = restored(restoration.id);
    await stage.run(instance, 'primary', more);
    if (!('error' in more)) await stage.lead(instance, [instance], { timeline: 2 });
  } else if (!holder && instance === `${name}-1`) {
    await stage.run(instance, 'primary');
    await stage.lead(instance, [`${name}-1`, `${name}-2`]);
  } else await stage.run(instance, 'replica', { upstream: designated });
}

/** Operators one after the other, each killed as soon as anything has moved on, until the operation has ended. */
async function byMortals(
  stage: Stage,
  name: string,
  restored: (id: string) => object,
): Promise<{ ended: OperationObject; seen: string[] }> {
  const seen: string[] = [];
  const look = async () => {
    const now = await api.admin.get(OperationKind, { namespace, name: `${name}-op` });
    const step = now.status?.steps?.find(({ state }) => state === 'Running')?.name ?? now.status?.phase;
    return { now, at: `${step}/${(await cluster(name)).status?.restoration?.stage}` };
  };
  while (seen.length < LIVES) {
    const operator = operate(api.operator, stage, { answer });
    try {
      const { now, at } = await eventually(
        `anything to follow ${seen.at(-1)}`,
        async () => {
          await live(stage, name, restored);
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

function ask(name: string): Promise<OperationObject> {
  return api.admin.create(OperationKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Operation',
    metadata: { name: `${name}-op`, namespace },
    spec: { cluster: name, type: 'Restore', restore: {} },
  } as never);
}

async function claims(name: string): Promise<string[]> {
  const { items } = await api.admin.list<PersistentVolumeClaim>(kinds.PersistentVolumeClaim as never, {
    namespace,
    labelSelector: `pgherd.io/cluster=${name},pgherd.io/instance`,
  });
  return items.map(({ metadata }) => metadata.name).sort();
}

test('a restore succeeds, with an operator killed at every step', async () => {
  const stage = await bring('a');
  await ask('a');
  const recovered: RecoveredReport = {
    id: '',
    backup: 'B',
    lsn: '0/5',
    timeline: 2,
    finishedAt: '2026-06-01T12:00:00Z',
  };
  const { ended, seen } = await byMortals(stage, 'a', (id) => ({ recovered: { ...recovered, id } }));
  assert.equal(ended.status?.phase, 'Succeeded', ended.status?.message);
  assert.ok(ended.status?.steps?.every(({ state }) => state === 'Done'));
  for (const stop of ['stop/stopping', 'restore/restoring', 'rebuild replicas/rebuilding'])
    assert.ok(seen.includes(stop), `no operator was killed at ${stop}: ${seen.join(', ')}`);
  assert.deepEqual(await claims('a'), ['a-3', 'a-4'], 'the old volumes are gone');
  assert.equal((await stage.lease()).leader?.name, 'a-3');
  assert.equal((await cluster('a')).status?.recovered?.lsn, '0/5');
});

test('a restore that fails brings the state from before back, with an operator killed at every step', async () => {
  const stage = await bring('b');
  const before = await stage.lease();
  await ask('b');
  const error = { code: 'RecoveryFailed', message: 'the WAL file X is missing in the archive' };
  const { ended, seen } = await byMortals(stage, 'b', () => ({ error, role: 'none', leader: false }));
  assert.equal(ended.status?.phase, 'Failed');
  assert.match(
    ended.status?.message ?? '',
    /WAL file X is missing in the archive; the cluster is as it was before/,
  );
  assert.ok(
    seen.some((at) => at.endsWith('/returning')),
    seen.join(', '),
  );
  assert.deepEqual(await claims('b'), ['b-1', 'b-2'], 'the old volumes are there, and no other');
  const { systemID, members, epoch } = await stage.lease();
  assert.deepEqual([systemID, members], [before.systemID, before.members]);
  assert.ok(epoch > before.epoch);
});

test('a restore whose Operation is deleted brings the state from before back', async () => {
  const stage = await bring('c');
  const { metadata } = await ask('c');
  const operator = operate(api.operator, stage, { answer });
  const error = { code: 'StartFailed', message: 'it is tried again' };
  const whileLiving = (what: string, look: (now: ClusterObject) => boolean) =>
    eventually(
      what,
      async () => {
        await live(stage, 'c', () => ({ error, role: 'none', leader: false }));
        return look(await cluster('c'));
      },
      30_000,
    );
  try {
    await whileLiving('the restore to begin', ({ status }) => status?.restoration?.stage === 'restoring');
    await api.admin.delete(OperationKind, metadata);
    await whileLiving(
      'the state from before',
      ({ metadata: { annotations }, status }) =>
        !status?.restoration && !annotations?.[ANNOTATION_RESTORE] && status?.readyInstances === 2,
    );
  } finally {
    await operator.stop();
  }
  assert.deepEqual(await claims('c'), ['c-1', 'c-2']);
});
