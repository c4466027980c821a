/** The operator against a real API server, with exactly its own rights; the instances are played. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  ANNOTATION_LEAVING,
  type ClusterPhase,
  type ClusterStatus,
  LABEL_CLUSTER,
  LABEL_INSTANCE,
} from '@pgherd/api';
import { type Kind, type KubeObject, kinds, type Log } from '@pgherd/kube';
import { eventually, startTestApi, type TestApi } from '../testing/api.ts';
import { createStage, type Stage } from '../testing/instances.ts';
import { type ClusterController, createClusterController } from './controller.ts';
import { ClusterKind, type ClusterObject } from './kind.ts';
import { NOBODY } from './specs/services.ts';

let api: TestApi;
const complaints: string[] = [];

const log: Log = {
  debug() {},
  info() {},
  warn: (fields, message) => complaints.push(`${message} ${JSON.stringify(fields)}`),
  error: (fields, message) => complaints.push(`${message} ${JSON.stringify(fields)}`),
};

before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

interface Running {
  stage: Stage;
  controller: ClusterController;
  stop(): Promise<void>;
}

async function operate(cluster: string): Promise<Running> {
  const stage = createStage(api.admin, cluster);
  const controller = createClusterController({
    client: api.operator,
    namespaces: ['default'],
    operatorImage: 'pgherd:test',
    log,
    reports: stage.reports,
  });
  const abort = new AbortController();
  controller.start(abort.signal);
  await controller.synced();
  const running = controller.run(abort.signal);
  return {
    stage,
    controller,
    async stop() {
      abort.abort();
      await running;
    },
  };
}

function manifest(name: string, spec: object = {}): ClusterObject {
  return {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace: 'default' },
    spec: { instances: 3, storage: { size: '1Gi' }, ...spec },
  } as ClusterObject;
}

const ref = (name: string) => ({ namespace: 'default', name });

async function status(name: string): Promise<ClusterStatus> {
  return (await api.admin.get(ClusterKind, ref(name))).status ?? {};
}

function phase(name: string, wanted: ClusterPhase): Promise<ClusterStatus> {
  let last: ClusterStatus = {};
  return eventually(`${name} to be ${wanted}`, async () => {
    last = await status(name);
    return last.phase === wanted && last;
  }).catch((error) => {
    throw new Error(`${error.message}; it is ${last.phase}: ${last.phaseReason}\n${complaints.join('\n')}`);
  });
}

/** Applies a cluster and plays it to Ready: instance 1 leads. */
async function bring(running: Running, name: string, spec: object = {}): Promise<ClusterStatus> {
  const created = await api.admin.create(ClusterKind, manifest(name, spec));
  const count = created.spec.instances ?? 3;
  const all = Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
  for (const [index, instance] of all.entries())
    await running.stage.run(instance, index === 0 ? 'primary' : 'replica');
  await running.stage.lead(all[0]!, all);
  return phase(name, 'Ready');
}

test('a cluster gets everything, fast, and a steady one costs no write', async () => {
  const name = 'whole';
  const running = await operate(name);
  try {
    const began = performance.now();
    await api.admin.create(ClusterKind, manifest(name));
    await eventually('three pods', async () => {
      const { items } = await api.admin.list(kinds.Pod, {
        namespace: 'default',
        labelSelector: `pgherd.io/cluster=${name}`,
      });
      return items.length === 3;
    });
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 10_000, `pods after ${tookMs} ms`);
    console.log(`# apply to three pods: ${tookMs.toFixed(0)} ms`);
    const rw = await eventually('-rw', () => api.admin.find(kinds.Service, ref(`${name}-rw`)));
    assert.deepEqual(rw.spec.selector, { 'pgherd.io/cluster': name, 'pgherd.io/instance': NOBODY });
    const early = await phase(name, 'Creating');
    assert.equal(early.latestGeneratedNode, 3);

    for (const [instance, role] of [
      ['whole-1', 'primary'],
      ['whole-2', 'replica'],
      ['whole-3', 'replica'],
    ] as const)
      await running.stage.run(instance, role);
    await running.stage.lead('whole-1', ['whole-1', 'whole-2', 'whole-3']);
    const ready = await phase(name, 'Ready');
    assert.equal(ready.currentPrimary, 'whole-1');
    assert.equal(ready.readyInstances, 3);
    assert.equal(ready.systemID, '7400000000000000001');
    assert.deepEqual(ready.instancesStatus, { healthy: ['whole-1', 'whole-2', 'whole-3'] });
    assert.deepEqual(Object.keys(ready.certificates?.expirations ?? {}).sort(), [
      'whole-ca',
      'whole-replication',
      'whole-server',
    ]);
    for (const secret of ['app', 'ca', 'server', 'replication'])
      await api.admin.get(kinds.Secret, ref(`${name}-${secret}`));
    assert.equal(await api.admin.find(kinds.Secret, ref(`${name}-superuser`)), undefined);
    assert.equal((await api.admin.get(kinds.PodDisruptionBudget, ref(name))).spec.minAvailable, 2);
    await eventually('role labels', async () => {
      const { items } = await api.admin.list(kinds.Pod, {
        namespace: 'default',
        labelSelector: `pgherd.io/cluster=${name},pgherd.io/role=primary`,
      });
      return items.length === 1 && items[0]?.metadata.name === 'whole-1';
    });

    // Steady: looks go on, nothing is written.
    await phase(name, 'Ready');
    const versions = async () => {
      const found = await Promise.all(
        [
          kinds.Pod,
          kinds.Service,
          kinds.Secret,
          kinds.Role,
          kinds.RoleBinding,
          kinds.ServiceAccount,
          kinds.PodDisruptionBudget,
          ClusterKind,
        ].map((kind) => api.admin.list(kind as Kind<KubeObject>, { namespace: 'default' })),
      );
      return found.flatMap(({ items }) =>
        items.map(({ kind, metadata }) => `${kind} ${metadata.name} ${metadata.resourceVersion}`),
      );
    };
    const quiet = await versions();
    const looks = running.stage.questions.length;
    for (let round = 0; round < 3; round++) {
      // A change of no account makes the operator look again.
      const body = { metadata: { annotations: { look: String(round) } } };
      await api.admin.patch(kinds.PersistentVolumeClaim, ref('whole-2'), { type: 'merge', body });
      const seen = running.stage.questions.length;
      await eventually('another look', async () => running.stage.questions.length > seen);
    }
    assert.ok(running.stage.questions.length > looks);
    assert.deepEqual(await versions(), quiet);
    assert.deepEqual(complaints, []);
  } finally {
    await running.stop();
  }
});

test('children deleted by hand come back as they were', async () => {
  const name = 'heal';
  const running = await operate(name);
  try {
    await bring(running, name);
    const lease = await running.stage.lease();
    for (const [kind, child] of [
      [kinds.Service, `${name}-rw`],
      [kinds.Service, `${name}-ro`],
      [kinds.Secret, `${name}-app`],
      [kinds.Secret, `${name}-server`],
      [kinds.ServiceAccount, name],
      [kinds.Role, name],
      [kinds.RoleBinding, name],
      [kinds.PodDisruptionBudget, name],
    ] as [Kind<KubeObject>, string][]) {
      const old = await api.admin.get(kind, ref(child));
      await api.admin.delete(kind, ref(child));
      await eventually(`${kind.kind} ${child}`, async () => {
        const found = await api.admin.find(kind, ref(child));
        return found && found.metadata.uid !== old.metadata.uid;
      });
    }
    const rw = await api.admin.get(kinds.Service, ref(`${name}-rw`));
    assert.equal(rw.spec.selector?.['pgherd.io/instance'], `${name}-1`);
    assert.equal(rw.metadata.annotations?.['pgherd.io/epoch'], String(lease.epoch));

    await phase(name, 'Ready');
    await api.admin.delete(kinds.Lease, ref(`${name}-primary`));
    const fresh = await eventually('the Lease', async () => {
      const found = await api.admin.find(kinds.Lease, ref(`${name}-primary`));
      return found && running.stage.lease();
    });
    assert.equal(fresh.holder, null);
    assert.equal(fresh.systemID, lease.systemID);
    assert.equal(fresh.epoch, lease.epoch);
  } finally {
    await running.stop();
  }
});

test('a pod deleted by hand comes back on its volume; the leader keeps -rw', async () => {
  const name = 'pods';
  const running = await operate(name);
  try {
    await bring(running, name);
    const claim = await api.admin.get(kinds.PersistentVolumeClaim, ref(`${name}-3`));
    const old = await api.admin.get(kinds.Pod, ref(`${name}-3`));
    await api.admin.delete(kinds.Pod, ref(`${name}-3`), { gracePeriodSeconds: 0 });
    await eventually('another pod', async () => {
      const found = await api.admin.find(kinds.Pod, ref(`${name}-3`));
      return found && found.metadata.uid !== old.metadata.uid;
    });
    const degraded = await phase(name, 'Degraded');
    assert.match(degraded.phaseReason!, /pods-3/);
    await running.stage.run(`${name}-3`);
    await phase(name, 'Ready');
    assert.equal(
      (await api.admin.get(kinds.PersistentVolumeClaim, ref(`${name}-3`))).metadata.uid,
      claim.metadata.uid,
    );
  } finally {
    await running.stop();
  }
});

test('a failover moves the labels and the status; -rw is left to the instances', async () => {
  const name = 'over';
  const running = await operate(name);
  const all = ['over-1', 'over-2', 'over-3'];
  try {
    await bring(running, name);
    await running.stage.run('over-2', 'primary', { timeline: 2 });
    await running.stage.run('over-1', 'replica', { streaming: false, state: 'rewinding', ready: false });
    await running.stage.lead('over-2', all);
    const degraded = await eventually('the new primary in status', async () => {
      const found = await status(name);
      return found.phase === 'Degraded' && found.currentPrimary === 'over-2' && found;
    });
    assert.equal(degraded.timelineID, 2);
    assert.match(degraded.phaseReason!, /over-1: it is rewinding/);
    await running.stage.run('over-1', 'replica');
    await phase(name, 'Ready');
    const rw = await api.admin.get(kinds.Service, ref('over-rw'));
    assert.equal(rw.spec.selector?.['pgherd.io/instance'], 'over-2');
    const { items: events } = await api.admin.list(kinds.Event, { namespace: 'default' });
    assert.ok(
      events.some(
        ({ reason, message }) =>
          reason === 'PrimaryChanged' && /over-2 is primary now, after over-1/.test(message ?? ''),
      ),
    );
  } finally {
    await running.stop();
  }
});

test('1 to 3 to 2: new numbers; the one that leaves is announced, let go, then removed', async () => {
  const name = 'scale';
  const running = await operate(name);
  const resize = (instances: number) =>
    api.admin.patch(ClusterKind, ref(name), { type: 'merge', body: { spec: { instances } } });
  try {
    await bring(running, name, { instances: 1 });
    assert.equal(await api.admin.find(kinds.PodDisruptionBudget, ref(name)), undefined);
    await resize(3);
    await phase(name, 'ScalingUp');
    for (const instance of ['scale-2', 'scale-3']) await running.stage.run(instance);
    await running.stage.lead('scale-1', ['scale-1', 'scale-2', 'scale-3']);
    await phase(name, 'Ready');
    assert.equal((await api.admin.get(kinds.PodDisruptionBudget, ref(name))).spec.minAvailable, 2);

    await resize(2);
    const leaving = await eventually('the announcement', async () => {
      const pod = await api.admin.get(kinds.Pod, ref('scale-3'));
      return pod.metadata.annotations?.[ANNOTATION_LEAVING] !== undefined && pod;
    });
    assert.equal(leaving.metadata.deletionTimestamp, undefined);
    const down = await phase(name, 'ScalingDown');
    assert.match(down.phaseReason!, /scale-1 to stop counting on scale-3/);
    await running.stage.lead('scale-1', ['scale-1', 'scale-2']);
    await eventually('the pod to go', async () => {
      const pod = await api.admin.find(kinds.Pod, ref('scale-3'));
      if (pod?.metadata.deletionTimestamp)
        await api.admin.delete(kinds.Pod, ref('scale-3'), { gracePeriodSeconds: 0 });
      return pod === undefined;
    });
    await eventually(
      'the volume to go',
      async () => !(await api.admin.find(kinds.PersistentVolumeClaim, ref('scale-3'))),
    );
    await phase(name, 'Ready');

    await resize(3);
    await running.stage.run('scale-4');
    await running.stage.lead('scale-1', ['scale-1', 'scale-2', 'scale-4']);
    assert.equal((await phase(name, 'Ready')).latestGeneratedNode, 4);
  } finally {
    await running.stop();
  }
});

test('another image goes to replicas first and to the primary last, one at a time', async () => {
  const name = 'roll';
  const running = await operate(name);
  try {
    await bring(running, name);
    await api.admin.patch(ClusterKind, ref(name), {
      type: 'merge',
      body: { spec: { imageName: 'other:15' } },
    });
    const order: string[] = [];
    for (const instance of ['roll-3', 'roll-2', 'roll-1']) {
      await eventually(`${instance} to be replaced`, async () => {
        const pods = await Promise.all(
          ['roll-1', 'roll-2', 'roll-3'].map((each) => api.admin.find(kinds.Pod, ref(each))),
        );
        const going = pods.filter((pod) => pod?.metadata.deletionTimestamp);
        assert.ok(going.length <= 1);
        if (going[0])
          await api.admin.delete(kinds.Pod, ref(going[0].metadata.name), { gracePeriodSeconds: 0 });
        const pod = await api.admin.find(kinds.Pod, ref(instance));
        return pod?.spec.containers[0]?.image === 'other:15' && !pod.metadata.deletionTimestamp;
      });
      order.push(instance);
      if (instance === 'roll-1') break;
      assert.equal((await status(name)).phase, 'Upgrading');
      await running.stage.run(instance);
    }
    assert.deepEqual(order, ['roll-3', 'roll-2', 'roll-1']);
    await running.stage.run('roll-2', 'primary', { timeline: 2 });
    await running.stage.lead('roll-2', ['roll-1', 'roll-2', 'roll-3']);
    await running.stage.run('roll-1');
    const ready = await phase(name, 'Ready');
    assert.equal(ready.image, 'other:15');
  } finally {
    await running.stop();
  }
});

test("somebody else's object in the way is named, not taken over", async () => {
  const name = 'taken';
  const running = await operate(name);
  try {
    const mine = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: ref('taken-ro'),
      spec: { ports: [{ port: 80 }], selector: { app: 'mine' } },
    };
    const service = await api.admin.create(kinds.Service, mine);
    await api.admin.create(ClusterKind, manifest(name, { instances: 1 }));
    const said = await eventually('a reason', async () => {
      const { phaseReason } = await status(name);
      return phaseReason?.includes('taken-ro') && phaseReason;
    });
    assert.match(said, /in the way, and not ours: Service taken-ro \(/);
    assert.equal(
      (await api.admin.get(kinds.Service, ref('taken-ro'))).metadata.resourceVersion,
      service.metadata.resourceVersion,
    );
    await api.admin.delete(kinds.Service, ref('taken-ro'));
    await running.stage.run('taken-1', 'primary');
    await running.stage.lead('taken-1', ['taken-1']);
    await phase(name, 'Ready');
    // Whoever finds the pod and its volume by their labels finds nothing: they get them back.
    const bare = { metadata: { labels: { [LABEL_CLUSTER]: null, [LABEL_INSTANCE]: null } } };
    for (const kind of [kinds.Pod, kinds.PersistentVolumeClaim] as unknown as Kind<KubeObject>[]) {
      const labels = async () => (await api.admin.get(kind, ref('taken-1'))).metadata.labels ?? {};
      const before = await labels();
      await api.admin.patch(kind, ref('taken-1'), { type: 'merge', body: bare });
      await eventually(
        `the labels of a ${kind.kind}`,
        async () => (await labels())[LABEL_INSTANCE] === 'taken-1',
      );
      assert.deepEqual(await labels(), before);
    }
    await phase(name, 'Ready');
  } finally {
    complaints.length = 0;
    await running.stop();
  }
});

test('a deleted cluster is not touched; one of the same name waits for what it left and begins anew', async () => {
  const name = 'again';
  const running = await operate(name);
  try {
    await bring(running, name, { instances: 1 });
    const password = (await api.admin.get(kinds.Secret, ref('again-app'))).data?.password;
    await api.admin.delete(ClusterKind, ref(name));
    // Nobody collects garbage here, so that the old children are in the way for as long as we like.
    await api.admin.create(ClusterKind, manifest(name, { instances: 1 }));
    const blocked = await eventually('a reason', async () => {
      const { phaseReason } = await status(name);
      return phaseReason?.includes('not ours') && phaseReason;
    });
    assert.match(blocked, /PersistentVolumeClaim again-1, Role again, /);
    const children = [
      [kinds.Pod, 'again-1'],
      [kinds.PersistentVolumeClaim, 'again-1'],
      [kinds.Lease, 'again-primary'],
      [kinds.ServiceAccount, name],
      [kinds.Role, name],
      [kinds.RoleBinding, name],
      ...['rw', 'ro', 'r'].map((suffix) => [kinds.Service, `again-${suffix}`]),
      ...['app', 'ca', 'server', 'replication'].map((suffix) => [kinds.Secret, `again-${suffix}`]),
    ] as [Kind<KubeObject>, string][];
    for (const [kind, child] of children) await api.admin.delete(kind, ref(child), { gracePeriodSeconds: 0 });
    await running.stage.run('again-1', 'primary');
    await running.stage.lead('again-1', ['again-1'], { systemID: '7400000000000000002' });
    const ready = await phase(name, 'Ready');
    assert.equal(ready.systemID, '7400000000000000002');
    assert.notEqual((await api.admin.get(kinds.Secret, ref('again-app'))).data?.password, password);
  } finally {
    complaints.length = 0;
    await running.stop();
  }
});
