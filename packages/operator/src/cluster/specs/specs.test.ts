import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareFacts, testCluster } from '../../testing/facts.ts';
import { volumeClaims } from './claims.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { newLease } from './lease.ts';
import { instancePod, podInputs } from './pod.ts';
import { instanceRules } from './rbac.ts';
import { NOBODY, newWriteService, readServices, writeService } from './services.ts';

const rich = () =>
  bareFacts(
    testCluster({
      walStorage: { size: '2Gi', storageClass: 'fast' },
      imageName: 'pg:16',
      imagePullPolicy: 'Always',
      resources: { requests: { cpu: 1, memory: '1Gi' }, limits: { memory: '1Gi' } },
      env: [{ name: 'TZ', value: 'UTC' }],
      envFrom: [{ secretRef: { name: 'more' } }],
      affinity: {
        podAntiAffinityType: 'required',
        topologyKey: 'zone',
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ key: 'db', operator: 'Exists' }],
      },
      inheritedMetadata: {
        labels: { team: 'a', 'app.kubernetes.io/managed-by': 'me' },
        annotations: { note: 'x' },
      },
      stopDelay: 120,
    }),
  );

test('a pod fits Pod Security "restricted"', () => {
  const { spec } = instancePod(bareFacts(), { serial: 1 });
  assert.equal(spec.securityContext?.runAsNonRoot, true);
  assert.equal(spec.securityContext?.seccompProfile?.type, 'RuntimeDefault');
  for (const { securityContext } of [...spec.containers, ...spec.initContainers!]) {
    assert.equal(securityContext?.allowPrivilegeEscalation, false);
    assert.equal(securityContext?.readOnlyRootFilesystem, true);
    assert.deepEqual(securityContext?.capabilities, { drop: ['ALL'] });
  }
  assert.equal(spec.shareProcessNamespace, undefined);
});

test('each mount has its volume', () => {
  for (const facts of [bareFacts(), rich()]) {
    const { spec } = instancePod(facts, { serial: 2 });
    const volumes = new Set(spec.volumes?.map(({ name }) => name));
    for (const { volumeMounts = [] } of [...spec.containers, ...spec.initContainers!])
      for (const { name } of volumeMounts) assert.ok(volumes.has(name), name);
  }
});

test('what the user wrote about pods is in the pod', () => {
  const pod = instancePod(rich(), { serial: 2, role: 'replica' });
  const [container] = pod.spec.containers;
  assert.equal(pod.metadata.name, 'demo-2');
  assert.equal(pod.metadata.labels?.team, 'a');
  assert.equal(pod.metadata.labels?.['app.kubernetes.io/managed-by'], 'pgherd');
  assert.equal(pod.metadata.annotations?.note, 'x');
  assert.equal(pod.metadata.labels?.['pgherd.io/role'], 'replica');
  assert.equal(container?.image, 'pg:16');
  assert.deepEqual(container?.resources, {
    requests: { cpu: '1', memory: '1Gi' },
    limits: { memory: '1Gi' },
  });
  assert.deepEqual(container?.env?.at(-1), { name: 'TZ', value: 'UTC' });
  assert.equal(pod.spec.terminationGracePeriodSeconds, 120);
  assert.deepEqual(pod.spec.nodeSelector, { disk: 'ssd' });
  const [term] = pod.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  assert.equal(term?.topologyKey, 'zone');
  assert.deepEqual(
    volumeClaims(rich(), 2).map(({ metadata, spec }) => [metadata.name, spec.storageClassName]),
    [
      ['demo-2', undefined],
      ['demo-2-wal', 'fast'],
    ],
  );
});

test('the inputs of a pod are what the user wrote: in any order, and nothing else', () => {
  const { spec } = testCluster({ resources: { requests: { cpu: '1', memory: '1Gi' } }, imageName: 'a' });
  const same = testCluster({
    imageName: 'a',
    resources: { requests: { memory: '1Gi', cpu: '1' } },
    instances: 5,
    env: undefined,
  });
  assert.equal(podInputs(spec), podInputs(same.spec));
  assert.notEqual(podInputs(spec), podInputs(testCluster({ imageName: 'b' }).spec));
  // Changing it would restart every database at an upgrade of the operator.
  assert.equal(podInputs(testCluster().spec), '44136fa355b3678a');
});

test('-rw points at nobody, or at the present leader with its epoch', () => {
  const facts = bareFacts();
  assert.equal(newWriteService(facts).spec.selector?.['pgherd.io/instance'], NOBODY);
  const led = newWriteService(facts, { name: 'demo-2', epoch: 7 });
  assert.equal(led.spec.selector?.['pgherd.io/instance'], 'demo-2');
  assert.equal(led.metadata.annotations?.['pgherd.io/epoch'], '7');
  assert.equal(writeService(facts).spec.selector, undefined);
  assert.equal(writeService(facts).metadata.annotations, undefined);
  assert.deepEqual(
    readServices(facts).map(({ metadata }) => metadata.name),
    ['demo-ro', 'demo-r'],
  );
});

test('a new Lease says who initialises; one that was lost says that nobody does any more', () => {
  const facts = bareFacts();
  const record = (lease: ReturnType<typeof newLease>) =>
    JSON.parse(lease.metadata.annotations?.['pgherd.io/record'] ?? '{}') as Record<string, unknown>;
  const first = newLease(facts, { designated: 'demo-1', epoch: 0 });
  assert.deepEqual(record(first), { designated: 'demo-1', members: [], rules: [] });
  assert.equal(first.spec.leaseTransitions, 0);
  const again = newLease(facts, { designated: 'demo-1', epoch: 9, systemID: '74' });
  assert.equal(record(again).systemID, '74');
  assert.equal(again.spec.leaseTransitions, 9);
  assert.equal(again.spec.holderIdentity, '');
});

test('a budget for two or more, none for one nor where none is wanted', () => {
  assert.equal(disruptionBudget(bareFacts(), 3)?.spec.minAvailable, 2);
  assert.equal(disruptionBudget(bareFacts(), 1), undefined);
  assert.equal(disruptionBudget(bareFacts(testCluster({ enablePDB: false })), 3), undefined);
});

test('an instance may change only its Lease and its -rw Service', () => {
  const changing = instanceRules(bareFacts()).filter(({ verbs }) =>
    verbs.some((verb) => !['get', 'list', 'watch'].includes(verb)),
  );
  assert.deepEqual(
    changing.map(({ resources, resourceNames }) => [resources, resourceNames]),
    [
      [['leases'], ['demo-primary']],
      [['services'], ['demo-rw']],
      [['events'], undefined],
    ],
  );
});
