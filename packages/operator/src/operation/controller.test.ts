/** Operations against a real API server, with the operator's rights; the instances are played. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isFinished, type OperationSpec } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { ClusterKind, type ClusterObject } from '../cluster/kind.ts';
import { eventually, startTestApi, type TestApi } from '../testing/api.ts';
import { createStage, type Stage } from '../testing/instances.ts';
import { operate, type TestOperator } from '../testing/operator.ts';
import { OperationKind, type OperationObject } from './kind.ts';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

const ref = (name: string) => ({ namespace: 'default', name });

async function bring(name: string): Promise<{ stage: Stage; operator: TestOperator }> {
  const stage = createStage(api.admin, name);
  const operator = operate(api.operator, stage);
  await api.admin.create(ClusterKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace: 'default' },
    spec: { instances: 2, storage: { size: '1Gi' } },
  } as unknown as ClusterObject);
  await stage.run(`${name}-1`, 'primary');
  await stage.run(`${name}-2`);
  await stage.lead(`${name}-1`, [`${name}-1`, `${name}-2`]);
  await eventually(
    `${name} to be Ready`,
    async () => (await api.admin.get(ClusterKind, ref(name))).status?.phase === 'Ready',
  );
  return { stage, operator };
}

function ask(name: string, spec: OperationSpec): Promise<OperationObject> {
  const metadata = { name, namespace: 'default' };
  return api.admin.create(OperationKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Operation',
    metadata,
    spec,
  } as never);
}

const operation = (name: string) => api.admin.get(OperationKind, ref(name));
const end = (name: string) =>
  eventually(`${name} to end`, async () => {
    const found = await operation(name);
    return isFinished(found) && found;
  });
const wish = async (cluster: string) =>
  (await api.admin.get(ClusterKind, ref(cluster))).metadata.annotations?.['pgherd.io/switchover'];

async function takeOver({ stage }: { stage: Stage }, name: string): Promise<void> {
  await stage.run(`${name}-1`, 'replica');
  await stage.run(`${name}-2`, 'primary');
  await stage.lead(`${name}-2`, [`${name}-1`, `${name}-2`]);
}

test('a switchover goes through its steps, also when the operator is killed in the middle of it', async () => {
  const cluster = await bring('sw');
  let { operator } = cluster;
  try {
    const made = await ask('sw-op', { cluster: 'sw', type: 'Switchover', switchover: { target: 'sw-2' } });
    await eventually('the wish', async () => (await wish('sw'))?.includes(made.metadata.uid));
    await operator.stop();
    operator = operate(api.operator, cluster.stage);
    await takeOver(cluster, 'sw');
    const { status } = await end('sw-op');
    assert.equal(status?.phase, 'Succeeded', status?.message);
    assert.equal(status?.result?.newPrimary, 'sw-2');
    assert.deepEqual(
      status?.steps?.map(({ name, state }) => `${name}: ${state}`),
      ['check the target: Done', 'hand over: Done', 'new primary serves: Done', 'old primary follows: Done'],
    );
    assert.ok(status?.steps?.every((step) => step.startedAt && step.finishedAt));
    assert.equal(await wish('sw'), undefined, 'the wish is taken back');
  } finally {
    await operator.stop();
  }
});

test('past its deadline an operation fails and says what it waited for; the next one had to wait', async () => {
  const { operator, stage } = await bring('late');
  try {
    const { metadata } = await ask('late-op', { cluster: 'late', type: 'Switchover', deadlineSeconds: 1 });
    await ask('late-too', { cluster: 'late', type: 'Switchover', switchover: { target: 'late-9' } });
    const waits = await eventually('the second to wait', async () => (await operation('late-too')).status);
    assert.equal(waits.phase, 'Pending');
    assert.match(waits.message ?? '', /waits for Switchover late-op to end/);
    await eventually('it to be called off', async () => {
      const { status } = await operation('late-op');
      return /late-1 hands over; it is called off/.test(status?.message ?? '');
    });
    assert.equal(await wish('late'), undefined, 'the wish is taken back');
    const why = 'the switchover was called off';
    await stage.run('late-1', 'primary', { switchover: { id: metadata.uid, outcome: 'failed', why } });
    const { status } = await end('late-op');
    assert.equal(status?.reason, 'DeadlineExceeded');
    assert.match(status?.message ?? '', /not done within 1 s, at 'hand over': the switchover was called off/);
    assert.equal((await end('late-too')).status?.reason, 'TargetUnknown');
  } finally {
    await operator.stop();
  }
});

test('a switchover that cannot be called off any more at its deadline is followed to its end', async () => {
  const cluster = await bring('over');
  try {
    await ask('over-op', { cluster: 'over', type: 'Switchover', deadlineSeconds: 1 });
    await eventually('it to be called off', async () => {
      const { status } = await operation('over-op');
      return /it is called off/.test(status?.message ?? '');
    });
    await takeOver(cluster, 'over');
    const { status } = await end('over-op');
    assert.equal(status?.phase, 'Succeeded', status?.message);
    assert.equal(status?.result?.newPrimary, 'over-2');
  } finally {
    await cluster.operator.stop();
  }
});

test('refused: an unknown cluster, one in maintenance, and one that hibernates', async () => {
  const { operator } = await bring('left');
  try {
    const mark = (annotations: object) =>
      api.admin.patch(ClusterKind, ref('left'), { type: 'merge', body: { metadata: { annotations } } });
    await mark({ 'pgherd.io/maintenance': 'on' });
    await ask('left-op', { cluster: 'left', type: 'Switchover' });
    assert.match((await end('left-op')).status?.message ?? '', /pgherd maintenance unset left/);
    await ask('none-op', { cluster: 'none', type: 'Switchover' });
    const pending = await eventually('it to wait', async () => (await operation('none-op')).status);
    assert.match(pending.message ?? '', /there is no cluster none/);
  } finally {
    await operator.stop();
  }
});

test('what has ended is deleted after its time', async () => {
  const { operator } = await bring('ttl');
  try {
    const spec: OperationSpec = { cluster: 'ttl', type: 'Switchover', ttlSecondsAfterFinished: 1 };
    await ask('ttl-op', { ...spec, switchover: { target: 'ttl-1' } });
    await end('ttl-op').catch(() => undefined);
    await eventually('it to be gone', async () => !(await api.admin.find(OperationKind, ref('ttl-op'))));
  } finally {
    await operator.stop();
  }
});

test('a switchover that is deleted before it takes effect is called off, also by an operator that comes later', async () => {
  const cluster = await bring('off');
  let { operator } = cluster;
  const asked = async (id: string) => {
    const { metadata } = await ask(id, {
      cluster: 'off',
      type: 'Switchover',
      switchover: { target: 'off-2' },
    });
    await eventually('the wish', async () => (await wish('off'))?.includes(metadata.uid));
  };
  const calledOff = () => eventually('it to be called off', async () => (await wish('off')) === undefined);
  try {
    await asked('off-1');
    await api.admin.delete(OperationKind, ref('off-1'));
    await calledOff();
    await eventually('an event that says so', async () => {
      const { items } = await api.admin.list(kinds.Event, { namespace: 'default' });
      return items.find(
        (each) => each.reason === 'CalledOff' && /from off-1 to off-2/.test(each.message ?? ''),
      );
    });
    await asked('off-2');
    await operator.stop();
    await api.admin.delete(OperationKind, ref('off-2'));
    operator = operate(api.operator, cluster.stage);
    await calledOff();
  } finally {
    await operator.stop();
  }
});
