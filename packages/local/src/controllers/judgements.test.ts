import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  Deployment,
  Job,
  KubeObject,
  Node,
  OwnerReference,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ReplicaSet,
  StorageClass,
} from '@pgherd/kube';
import { planDeployment, portion } from './deployments.ts';
import { planBudget } from './disruption.ts';
import { judgeGarbage, type OwnerState } from './garbage.ts';
import { planJob } from './jobs.ts';
import { INDEX, readIndexes, writeIndexes } from './jobs-indexed.ts';
import { isEmptying } from './namespaces.ts';
import { evictionDelay, GRACE_MS, isAbandoned, planNode } from './nodes.ts';
import { planReplicas } from './replicasets.ts';
import { namespaceNeeds } from './serviceaccounts.ts';
import { type ClaimFacts, judgeClaim, judgeVolume, PROTECTION } from './volumes.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();

function pod(name: string, phase = 'Running', ready = true, more: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'ns', name, uid: name, creationTimestamp: ago(60), ...more },
    spec: { containers: [], nodeName: 'n' },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: ago(30) }],
    },
  };
}

test('garbage: who goes with whom', () => {
  const owner = (uid: string, blockOwnerDeletion = true): OwnerReference => ({
    apiVersion: 'v1',
    kind: 'K',
    name: uid,
    uid,
    blockOwnerDeletion,
  });
  const object = (over: Partial<KubeObject['metadata']> = {}): KubeObject => ({
    apiVersion: 'v1',
    kind: 'K',
    metadata: { name: 'o', uid: 'o', ...over },
  });
  const facts = (...states: OwnerState[]) =>
    states.map((state, n) => ({ reference: owner(String(n)), state }));
  const child = object({ ownerReferences: [owner('o')] });
  const lax = object({ ownerReferences: [owner('o', false)] });
  const dying = (finalizer?: string) =>
    object({ deletionTimestamp: 'now', finalizers: finalizer ? [finalizer] : [] });
  const cases: [string, KubeObject, OwnerState[], KubeObject[], string][] = [
    ['nobody owns it', object(), [], [], 'none'],
    ['its owner is there', object(), ['present'], [], 'none'],
    ['its owner is gone', object(), ['absent'], [], 'delete Background'],
    ['one of two is gone', object(), ['present', 'absent'], [], 'dropOwners'],
    ['we cannot know', object(), ['absent', 'unknown'], [], 'none'],
    ['its owner waits', object(), ['waiting'], [], 'delete Background'],
    ['its owner waits, and it owns too', object(), ['waiting'], [child], 'delete Foreground'],
    ['it is deleted with nothing to do', dying(), ['absent'], [child], 'none'],
    ['it is deleted in the foreground', dying('foregroundDeletion'), [], [child], 'waitForDependents'],
    ['foreground, nobody blocks', dying('foregroundDeletion'), [], [lax], 'finishForeground'],
    ['orphans are let go', dying('orphan'), [], [child], 'orphan'],
  ];
  for (const [name, one, states, dependents, expected] of cases) {
    const action = judgeGarbage(one, facts(...states), dependents);
    assert.equal(action.type === 'delete' ? `delete ${action.policy}` : action.type, expected, name);
  }
});

test('replicas: how many, and which go first', () => {
  const set = (replicas: number, over = {}): ReplicaSet => ({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 's', ...over },
    spec: { replicas, selector: {} },
  });
  assert.equal(planReplicas(set(3), [pod('a')], NOW).create, 2);
  assert.equal(
    planReplicas(set(1), [pod('a', 'Failed'), pod('b', 'Running', true, { deletionTimestamp: 'x' })], NOW)
      .create,
    1,
  );
  const pods = [
    pod('old'),
    pod('young', 'Running', true, { creationTimestamp: ago(1) }),
    pod('sick', 'Running', false),
    pod('new', 'Pending', false),
  ];
  const order = [3, 2, 1, 0].map((n) => planReplicas(set(n), pods, NOW).remove.at(-1)!.metadata.name);
  assert.deepEqual(order, ['new', 'sick', 'young', 'old']);
  assert.equal(planReplicas(set(3, { deletionTimestamp: 'x' }), [], NOW).create, 0);
  const slow = { ...set(1), spec: { ...set(1).spec, minReadySeconds: 60 } };
  assert.equal(planReplicas(slow, [pod('a')], NOW).status.availableReplicas, 0);
});

const template = (image: string) => ({
  metadata: { labels: { app: 'x' } },
  spec: { containers: [{ name: 'c', image }] },
});

function deployment(image: string, replicas: number, over: Partial<Deployment['spec']> = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: 'ns', name: 'd', uid: 'd', generation: 1 },
    spec: { replicas, selector: { matchLabels: { app: 'x' } }, template: template(image), ...over },
  };
}

function set(image: string, replicas: number, available: number, revision: number): ReplicaSet {
  const made = planDeployment(deployment(image, 1), [], NOW).create!;
  return {
    ...made,
    metadata: { ...made.metadata, annotations: { 'deployment.kubernetes.io/revision': String(revision) } },
    spec: { ...made.spec, replicas },
    status: { replicas, availableReplicas: available, readyReplicas: available },
  };
}

test('deployments: step by step from one template to the next', () => {
  const strict = { strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } };
  const brisk = { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } } };
  const again = { strategy: { type: 'Recreate' } };
  const cases: [string, Deployment, ReplicaSet[], string][] = [
    ['the first', deployment('a', 3), [], '+3'],
    ['scale up', deployment('a', 3), [set('a', 1, 1, 1)], 'a:3'],
    ['scale down', deployment('a', 1), [set('a', 3, 3, 1)], 'a:1'],
    ['begin', deployment('b', 2, strict), [set('a', 2, 2, 1)], '+1'],
    ['wait', deployment('b', 2, strict), [set('a', 2, 2, 1), set('b', 1, 0, 2)], ''],
    ['one is ready, one may go', deployment('b', 2, strict), [set('a', 2, 2, 1), set('b', 1, 1, 2)], 'a:1'],
    ['the next', deployment('b', 2, strict), [set('a', 1, 1, 1), set('b', 1, 1, 2)], 'b:2'],
    ['the last', deployment('b', 2, strict), [set('a', 1, 1, 1), set('b', 2, 2, 2)], 'a:0'],
    ['one goes first', deployment('b', 2, brisk), [set('a', 2, 2, 1), set('b', 0, 0, 2)], 'a:1'],
    [
      'what does not work goes at once',
      deployment('b', 2, strict),
      [set('a', 2, 1, 1), set('b', 1, 1, 2)],
      'a:1',
    ],
    ['recreate stops first', deployment('b', 2, again), [set('a', 2, 2, 1)], 'a:0'],
    [
      'recreate waits for the end',
      deployment('b', 2, again),
      [{ ...set('a', 0, 0, 1), status: { replicas: 1 } }],
      '',
    ],
    ['recreate starts', deployment('b', 2, again), [set('a', 0, 0, 1)], '+2'],
    ['paused', deployment('b', 2, { paused: true }), [set('a', 2, 2, 1)], ''],
    ['back to the first', deployment('a', 1, strict), [set('a', 0, 0, 1), set('b', 1, 1, 2)], 'a:1 r3'],
    [
      'old ones are forgotten',
      deployment('b', 1, { revisionHistoryLimit: 0 }),
      [set('a', 0, 0, 1), set('b', 1, 1, 2)],
      '-a',
    ],
  ];
  for (const [name, wanted, sets, expected] of cases) {
    const plan = planDeployment(wanted, sets, NOW);
    const image = (one: ReplicaSet) => one.spec.template!.spec.containers[0]!.image;
    const said = [
      ...(plan.create ? [`+${plan.create.spec.replicas}`] : []),
      ...plan.scale.map(({ set: one, to }) => `${image(one)}:${to}`),
      ...plan.remove.map((one) => `-${image(one)}`),
      ...(plan.revision ? [`r${plan.revision}`] : []),
    ];
    assert.equal(said.join(' '), expected, name);
  }
  assert.equal(portion('25%', 3, Math.ceil), 1);
  assert.equal(portion('25%', 3, Math.floor), 0);
  const { status } = planDeployment(deployment('a', 1), [set('a', 1, 1, 1)], NOW);
  assert.deepEqual(
    status.conditions?.map(({ type, status: s, reason }) => [type, s, reason]),
    [
      ['Available', 'True', 'MinimumReplicasAvailable'],
      ['Progressing', 'True', 'NewReplicaSetAvailable'],
    ],
  );
});

test('jobs: until enough succeeded or too many failed', () => {
  const job = (spec: Partial<Job['spec']> = {}, status: Job['status'] = { startTime: ago(10) }): Job => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j' },
    spec: {
      template: { spec: { containers: [], restartPolicy: 'Never' } },
      completions: 1,
      parallelism: 1,
      ...spec,
    },
    status,
  });
  const failed = (name: string) => pod(name, 'Failed', false, { creationTimestamp: ago(5) });
  const cases: [string, Job, Pod[], number, string][] = [
    ['the first pod', job(), [], 1, ''],
    ['it runs', job(), [pod('a')], 0, ''],
    ['done', job(), [pod('a', 'Succeeded')], 0, 'Complete'],
    ['three at once, two left', job({ completions: 3, parallelism: 3 }), [pod('a', 'Succeeded')], 2, ''],
    ['waits after a failure', job(), [failed('a')], 0, ''],
    ['too many failures', job({ backoffLimit: 0 }), [failed('a')], 0, 'Failed'],
    ['too long', job({ activeDeadlineSeconds: 5 }), [pod('a')], 0, 'Failed'],
    ['suspended', job({ suspend: true }), [], 0, 'Suspended'],
    ['resumed', job({}, { conditions: [{ type: 'Suspended', status: 'True' }] }), [], 1, 'Suspended'],
    ['a success that was removed', job({}, { startTime: ago(10), succeeded: 1 }), [], 0, 'Complete'],
  ];
  for (const [name, one, pods, create, end] of cases) {
    const plan = planJob(one, pods, NOW);
    assert.equal(plan.create, create, name);
    assert.equal(plan.status.conditions?.at(-1)?.type ?? '', end, name);
  }
  const complete = { conditions: [{ type: 'Complete', status: 'True', lastTransitionTime: ago(10) }] };
  assert.equal(planJob(job({ ttlSecondsAfterFinished: 5 }, complete), [], NOW).expired, true);
  assert.equal(planJob(job({ ttlSecondsAfterFinished: 50 }, complete), [], NOW).afterMs, 40_000);
});

test('jobs of numbered pods: each number once', () => {
  const numbered = (index: number, phase = 'Running') => {
    const one = pod(`j-${index}`, phase);
    one.metadata.annotations = { [INDEX]: String(index) };
    return one;
  };
  const one: Job = {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j' },
    spec: {
      template: { spec: { containers: [], restartPolicy: 'Never' } },
      completionMode: 'Indexed',
      completions: 6,
      parallelism: 3,
    },
    status: { completedIndexes: '0-1' },
  };
  const plan = planJob(one, [numbered(2, 'Succeeded'), numbered(3)], NOW);
  assert.deepEqual(plan.indexes, [4, 5]);
  assert.equal(plan.status.completedIndexes, '0-2');
  assert.equal(plan.status.succeeded, 3);
  assert.deepEqual(readIndexes('0-2,5'), [0, 1, 2, 5]);
  assert.equal(writeIndexes([7, 5, 0, 1, 2]), '0-2,5,7');
});

test('claims and volumes: the next step', () => {
  const claim = (spec: object = {}, meta: object = {}, status: object = {}): PersistentVolumeClaim => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { namespace: 'ns', name: 'c', uid: 'c', finalizers: [PROTECTION], ...meta },
    spec: {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'local',
      resources: { requests: { storage: '1Gi' } },
      ...spec,
    },
    status,
  });
  const volume = (storage: string, over: object = {}): PersistentVolume => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'v' },
    spec: { capacity: { storage }, accessModes: ['ReadWriteOnce'], storageClassName: 'local', ...over },
  });
  const local: StorageClass = {
    apiVersion: 's',
    kind: 'StorageClass',
    metadata: { name: 'local' },
    provisioner: 'p',
    volumeBindingMode: 'WaitForFirstConsumer',
    allowVolumeExpansion: true,
  };
  const selected = { annotations: { 'volume.kubernetes.io/selected-node': 'n' } };
  const mine = { claimRef: { namespace: 'ns', name: 'c', uid: 'c' } };
  const theirs = { claimRef: { namespace: 'ns', name: 'c', uid: 'before' } };
  const bound = { phase: 'Bound', capacity: { storage: '1Gi' } };
  const cases: [string, Partial<ClaimFacts> & { claim: PersistentVolumeClaim }, string][] = [
    ['unprotected', { claim: claim({}, { finalizers: [] }) }, 'protect'],
    ['deleted, in use', { claim: claim({}, { deletionTimestamp: 'x' }), inUse: true }, 'none'],
    ['deleted, free', { claim: claim({}, { deletionTimestamp: 'x' }) }, 'release'],
    ['waits for a pod', { claim: claim() }, 'wait'],
    ['a node is chosen', { claim: claim({}, selected) }, 'provision'],
    [
      'at once',
      { claim: claim(), storageClass: { ...local, volumeBindingMode: 'Immediate' }, nodes: ['n'] },
      'provision',
    ],
    [
      'at once, no node',
      { claim: claim(), storageClass: { ...local, volumeBindingMode: 'Immediate' } },
      'wait',
    ],
    ['no class', { claim: claim({ storageClassName: 'other' }), storageClass: undefined }, 'wait'],
    [
      'no provisioner',
      { claim: claim({}, selected), storageClass: { ...local, provisioner: 'kubernetes.io/no-provisioner' } },
      'wait',
    ],
    ['one fits', { claim: claim(), volumes: [volume('2Gi')] }, 'bind'],
    ['too small', { claim: claim(), volumes: [volume('1Mi')] }, 'wait'],
    ['of another', { claim: claim(), volumes: [volume('2Gi', theirs)] }, 'wait'],
    ['bound, to be said', { claim: claim({ volumeName: 'v' }), volume: volume('1Gi', mine) }, 'status'],
    ['bound and said', { claim: claim({ volumeName: 'v' }, {}, bound), volume: volume('1Gi', mine) }, 'none'],
    [
      'grows',
      {
        claim: claim({ volumeName: 'v', resources: { requests: { storage: '2Gi' } } }, {}, bound),
        volume: volume('1Gi', mine),
      },
      'grow',
    ],
    [
      'grown, to be said',
      { claim: claim({ volumeName: 'v' }, {}, bound), volume: volume('2Gi', mine) },
      'status',
    ],
    ['named and free', { claim: claim({ volumeName: 'v' }), volume: volume('1Gi') }, 'bind'],
    ['named and taken', { claim: claim({ volumeName: 'v' }), volume: volume('1Gi', theirs) }, 'wait'],
    ['lost', { claim: claim({ volumeName: 'v' }, {}, bound) }, 'status'],
  ];
  for (const [name, facts, expected] of cases) {
    const action = judgeClaim({
      storageClass: local,
      volume: undefined,
      volumes: [],
      inUse: false,
      nodes: [],
      ...facts,
    });
    assert.equal(action.type, expected, name);
  }
  const ours = (over: object): PersistentVolume => {
    const one = volume('1Gi', { persistentVolumeReclaimPolicy: 'Delete', ...over });
    return { ...one, metadata: { ...one.metadata, annotations: { 'pv.kubernetes.io/provisioned-by': 'p' } } };
  };
  assert.deepEqual(judgeVolume(volume('1Gi'), undefined), { type: 'phase', phase: 'Available' });
  assert.deepEqual(judgeVolume(volume('1Gi', mine), claim()), { type: 'phase', phase: 'Bound' });
  assert.deepEqual(judgeVolume(ours(mine), undefined), { type: 'reclaim' });
  assert.deepEqual(judgeVolume(ours({ ...mine, persistentVolumeReclaimPolicy: 'Retain' }), undefined), {
    type: 'phase',
    phase: 'Released',
  });
  assert.deepEqual(
    judgeVolume(volume('1Gi', { ...mine, persistentVolumeReclaimPolicy: 'Delete' }), undefined),
    { type: 'phase', phase: 'Released' },
    'not made by us',
  );
});

test('budgets: how many may go', () => {
  const budget = (
    spec: PodDisruptionBudget['spec'],
    disruptedPods?: Record<string, string>,
  ): PodDisruptionBudget => ({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'b' },
    spec,
    ...(disruptedPods
      ? {
          status: {
            disruptedPods,
            disruptionsAllowed: 0,
            currentHealthy: 0,
            desiredHealthy: 0,
            expectedPods: 0,
          },
        }
      : {}),
  });
  const three = [pod('a'), pod('b'), pod('c')];
  const cases: [string, PodDisruptionBudget, Pod[], number | undefined, number][] = [
    ['one must stay', budget({ minAvailable: 1 }), three, undefined, 2],
    ['half must stay', budget({ minAvailable: '50%' }), three, 3, 1],
    ['one may go', budget({ maxUnavailable: 1 }), three, 3, 1],
    ['one may go, one is missing', budget({ maxUnavailable: 1 }), three.slice(1), 3, 0],
    [
      'one is not ready',
      budget({ maxUnavailable: 1 }),
      [...three.slice(1), pod('d', 'Running', false)],
      3,
      0,
    ],
    ['one was just evicted', budget({ minAvailable: 1 }, { a: ago(1) }), three, undefined, 1],
    ['an eviction that came to nothing', budget({ minAvailable: 1 }, { a: ago(300) }), three, undefined, 2],
    ['no pods', budget({ minAvailable: 0 }), [], undefined, 0],
  ];
  for (const [name, one, pods, scale, expected] of cases) {
    assert.equal(planBudget(one, pods, scale, NOW).status.disruptionsAllowed, expected, name);
  }
});

test('nodes: silence, taints and who leaves', () => {
  const node = (status: string, taints: string[] = [], unschedulable?: boolean): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n' },
    spec: { unschedulable, taints: taints.map((key) => ({ key, effect: 'NoSchedule' })) },
    status: { conditions: [{ type: 'Ready', status }] },
  });
  const keys = (one: Node, silentMs: number) =>
    planNode(one, silentMs, NOW).taints?.map(({ key, effect }) => `${key.split('/').at(-1)}:${effect}`);
  assert.equal(keys(node('True'), 0), undefined);
  assert.deepEqual(keys(node('False'), 0), ['not-ready:NoSchedule', 'not-ready:NoExecute']);
  assert.deepEqual(keys(node('True'), GRACE_MS), ['unreachable:NoSchedule', 'unreachable:NoExecute']);
  assert.deepEqual(keys(node('True', ['mine', 'node.kubernetes.io/not-ready']), 0), ['mine:NoSchedule']);
  assert.deepEqual(keys(node('True', [], true), 0), ['unschedulable:NoSchedule']);
  assert.equal(planNode(node('True'), GRACE_MS - 1, NOW).conditions, undefined);
  assert.equal(planNode(node('True'), GRACE_MS, NOW).conditions![0]!.status, 'Unknown');
  assert.equal(planNode(node('Unknown'), GRACE_MS, NOW).conditions, undefined);
  assert.ok(planNode(node('True'), GRACE_MS, NOW).markPods && !planNode(node('True'), 0, NOW).markPods);

  const shut = (status: string, effect: string): Node => {
    const one = node(status);
    return { ...one, spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect }] } };
  };
  const going = pod('p');
  going.metadata.deletionTimestamp = ago(1);
  assert.ok(isAbandoned(going, shut('Unknown', 'NoExecute')));
  assert.ok(!isAbandoned(pod('p'), shut('Unknown', 'NoExecute')), 'nobody has told it to stop');
  assert.ok(!isAbandoned(going, shut('True', 'NoExecute')), 'the node is well');
  assert.ok(!isAbandoned(going, shut('False', 'NoSchedule')));
  assert.ok(!isAbandoned(going, node('Unknown')));

  const gone = [{ key: 'u', effect: 'NoExecute', timeAdded: ago(100) }];
  const tolerant = (tolerationSeconds?: number): Pod => {
    const one = pod('p');
    return {
      ...one,
      spec: {
        ...one.spec,
        tolerations: [{ key: 'u', operator: 'Exists', effect: 'NoExecute', tolerationSeconds }],
      },
    };
  };
  assert.equal(evictionDelay(pod('p'), gone, NOW), 0);
  assert.equal(evictionDelay(pod('p'), [{ key: 'u', effect: 'NoSchedule' }], NOW), undefined);
  assert.equal(evictionDelay(tolerant(), gone, NOW), undefined);
  assert.equal(evictionDelay(tolerant(300), gone, NOW), 200_000);
  assert.equal(evictionDelay(tolerant(50), gone, NOW), 0);
  assert.equal(evictionDelay(pod('p', 'Succeeded'), gone, NOW), undefined);
});

test('namespaces: what they need, and when they go', () => {
  const namespace = (over: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'n', ...over },
    spec: { finalizers: ['kubernetes'] },
  });
  assert.deepEqual(namespaceNeeds(namespace(), { account: false, rootCa: undefined }, 'ca'), {
    account: true,
    rootCa: true,
  });
  assert.deepEqual(namespaceNeeds(namespace(), { account: true, rootCa: 'old' }, 'ca'), {
    account: false,
    rootCa: true,
  });
  assert.deepEqual(
    namespaceNeeds(namespace({ deletionTimestamp: 'x' }), { account: false, rootCa: undefined }, 'ca'),
    { account: false, rootCa: false },
  );
  assert.ok(isEmptying(namespace({ deletionTimestamp: 'x' })));
  assert.ok(!isEmptying(namespace()));
  assert.ok(!isEmptying({ ...namespace({ deletionTimestamp: 'x' }), spec: { finalizers: [] } }));
});
