/** A restore in place of which each step is carried on by another operator: the one before was killed. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ANNOTATION_RESTORE } from '@pgherd/api';
import { ClusterKind, type ClusterObject } from '../../cluster/kind.ts';
import { eventually, startTestApi, type TestApi } from '../../testing/api.ts';
import type { Stage } from '../../testing/instances.ts';
import {
  answerAll,
  bringWhole,
  byMortals,
  claimsOf,
  hasRecovered,
  live,
  type Restored,
} from '../../testing/mortals.ts';
import { operate } from '../../testing/operator.ts';
import { OperationKind, type OperationObject } from '../kind.ts';

const namespace = 'default';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

const cluster = (name: string) => api.admin.get(ClusterKind, { namespace, name });

function ask(name: string): Promise<OperationObject> {
  return api.admin.create(OperationKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Operation',
    metadata: { name: `${name}-op`, namespace },
    spec: { cluster: name, type: 'Restore', restore: {} },
  } as never);
}

const mortals = (stage: Stage, name: string, restored: Restored) =>
  byMortals(api, {
    stage,
    operation: `${name}-op`,
    about: name,
    world: () => live(api.admin, stage, name, restored),
  });

test('a restore succeeds, with an operator killed at every step', async () => {
  const stage = await bringWhole(api, 'a');
  await ask('a');
  const { ended, seen } = await mortals(stage, 'a', hasRecovered);
  assert.equal(ended.status?.phase, 'Succeeded', ended.status?.message);
  assert.ok(ended.status?.steps?.every(({ state }) => state === 'Done'));
  for (const stop of ['stop/stopping', 'restore/restoring', 'rebuild replicas/rebuilding'])
    assert.ok(seen.includes(stop), `no operator was killed at ${stop}: ${seen.join(', ')}`);
  assert.deepEqual(await claimsOf(api.admin, 'a'), ['a-3', 'a-4'], 'the old volumes are gone');
  assert.equal((await stage.lease()).leader?.name, 'a-3');
  assert.equal((await cluster('a')).status?.recovered?.lsn, '0/5');
});

test('a restore that fails brings the state from before back, with an operator killed at every step', async () => {
  const stage = await bringWhole(api, 'b');
  const before = await stage.lease();
  await ask('b');
  const error = { code: 'RecoveryFailed', message: 'the WAL file X is missing in the archive' };
  const { ended, seen } = await mortals(stage, 'b', () => ({ error, role: 'none', leader: false }));
  assert.equal(ended.status?.phase, 'Failed');
  assert.match(
    ended.status?.message ?? '',
    /WAL file X is missing in the archive; the cluster is as it was before/,
  );
  assert.ok(
    seen.some((at) => at.endsWith('/returning')),
    seen.join(', '),
  );
  assert.deepEqual(await claimsOf(api.admin, 'b'), ['b-1', 'b-2'], 'the old volumes are there, and no other');
  const { systemID, members, epoch } = await stage.lease();
  assert.deepEqual([systemID, members], [before.systemID, before.members]);
  assert.ok(epoch > before.epoch);
});

test('a restore whose Operation is deleted brings the state from before back', async () => {
  const stage = await bringWhole(api, 'c');
  const { metadata } = await ask('c');
  const operator = operate(api.operator, stage, { answer: answerAll });
  const error = { code: 'StartFailed', message: 'it is tried again' };
  const whileLiving = (what: string, look: (now: ClusterObject) => boolean) =>
    eventually(
      what,
      async () => {
        await live(api.admin, stage, 'c', () => ({ error, role: 'none', leader: false }));
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
  assert.deepEqual(await claimsOf(api.admin, 'c'), ['c-1', 'c-2']);
});
