import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, PersistentVolume, Pod, PodAffinityTerm } from '@pgherd/kube';
import { type ClaimFact, matchesTerms, place, type Snapshot, tolerates } from './placement.ts';
import { claimFact, isToSchedule, nodeMatters } from './scheduler.ts';

const READY = { conditions: [{ type: 'Ready', status: 'True' }] };

function node(name: string, over: Partial<Node> = {}, labels = {}): Node {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, status: READY, ...over };
}

function pod(name: string, spec: Partial<Pod['spec']> = {}, labels = {}, owner?: string): Pod {
  const ownerReferences = owner
    ? [{ apiVersion: 'a', kind: 'O', name: owner, uid: owner, controller: true }]
    : undefined;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'ns', name, uid: name, labels, ownerReferences },
    spec: { containers: [{ name: 'c' }], ...spec },
  };
}

const term: PodAffinityTerm = {
  topologyKey: 'kubernetes.io/hostname',
  labelSelector: { matchLabels: { app: 'x' } },
};
const zoneTerm: PodAffinityTerm = { ...term, topologyKey: 'zone' };
const anti = (one: PodAffinityTerm) => ({
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [one] },
});
const together = (one: PodAffinityTerm) => ({
  podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [one] },
});
const needs = (cpu: string) => ({ containers: [{ name: 'c', resources: { requests: { cpu } } }] });
const spread = {
  maxSkew: 1,
  topologyKey: 'kubernetes.io/hostname',
  whenUnsatisfiable: 'DoNotSchedule',
  labelSelector: { matchLabels: { app: 'x' } },
};
const volumeOn = (name: string): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'v' },
  spec: {
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [name] }] },
        ],
      },
    },
  },
});
const preferred = (values: string[]) => ({
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 1, preference: { matchExpressions: [{ key: 'disk', operator: 'In', values }] } },
    ],
  },
});
const tainted = (effect: string) => ({ spec: { taints: [{ key: 'k', value: 'v', effect }] } });
const allocatable = (cpu: string) => ({ status: { ...READY, allocatable: { cpu, pods: '2' } } });

interface Case {
  name: string;
  pod: Pod;
  nodes: Node[];
  pods?: Pod[];
  claims?: ClaimFact[];
  expect: string | RegExp;
}

const two = [node('a'), node('b')];
const onA = (labels: object, spec: Partial<Pod['spec']> = {}, owner?: string) =>
  pod('other', { nodeName: 'a', ...spec }, labels, owner);

const cases: Case[] = [
  { name: 'no node', pod: pod('p'), nodes: [], expect: /0\/0 nodes are available: there is no node/ },
  { name: 'first by name', pod: pod('p'), nodes: two, expect: 'a' },
  { name: 'the emptier one', pod: pod('p'), nodes: two, pods: [onA({})], expect: 'b' },
  {
    name: 'not beside its sibling',
    pod: pod('p', {}, {}, 'o'),
    nodes: two,
    pods: [onA({}, {}, 'o'), pod('b1', { nodeName: 'b' }), pod('b2', { nodeName: 'b' })],
    expect: 'b',
  },
  {
    name: 'not ready',
    pod: pod('p'),
    nodes: [node('a', { status: {} })],
    expect: /1 node\(s\) had untolerated taint \{node.kubernetes.io\/not-ready: \}/,
  },
  {
    name: 'cordoned',
    pod: pod('p'),
    nodes: [node('a', { spec: { unschedulable: true } })],
    expect: /1 node\(s\) were unschedulable/,
  },
  {
    name: 'taint',
    pod: pod('p'),
    nodes: [node('a', tainted('NoSchedule'))],
    expect: /untolerated taint \{k: v\}/,
  },
  {
    name: 'taint tolerated',
    pod: pod('p', { tolerations: [{ key: 'k', operator: 'Exists' }] }),
    nodes: [node('a', tainted('NoSchedule'))],
    expect: 'a',
  },
  {
    name: 'soft taint',
    pod: pod('p'),
    nodes: [node('a', tainted('PreferNoSchedule')), node('b')],
    expect: 'b',
  },
  {
    name: 'node selector',
    pod: pod('p', { nodeSelector: { disk: 'ssd' } }),
    nodes: [node('a'), node('b', {}, { disk: 'ssd' })],
    expect: 'b',
  },
  {
    name: 'hostname without a label',
    pod: pod('p', { nodeSelector: { 'kubernetes.io/hostname': 'b' } }),
    nodes: two,
    expect: 'b',
  },
  {
    name: 'preferred node',
    pod: pod('p', { affinity: preferred(['ssd']) }),
    nodes: [node('a'), node('b', {}, { disk: 'ssd' })],
    expect: 'b',
  },
  {
    name: 'anti-affinity',
    pod: pod('p', { affinity: anti(term) }),
    nodes: two,
    pods: [onA({ app: 'x' })],
    expect: 'b',
  },
  {
    name: 'anti-affinity nowhere',
    pod: pod('p', { affinity: anti(term) }),
    nodes: [node('a')],
    pods: [onA({ app: 'x' })],
    expect: "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
  },
  {
    name: 'a finished pod does not count',
    pod: pod('p', { affinity: anti(term) }),
    nodes: [node('a')],
    pods: [{ ...onA({ app: 'x' }), status: { phase: 'Succeeded' } }],
    expect: 'a',
  },
  {
    name: 'another namespace does not count',
    pod: pod('p', { affinity: anti(term) }),
    nodes: [node('a')],
    pods: [{ ...onA({ app: 'x' }), metadata: { name: 'o', namespace: 'else', labels: { app: 'x' } } }],
    expect: 'a',
  },
  {
    name: 'the refusal of another',
    pod: pod('p', {}, { app: 'x' }),
    nodes: [node('a')],
    pods: [onA({}, { affinity: anti(term) })],
    expect: /existing pods anti-affinity/,
  },
  {
    name: 'anti-affinity by zone',
    pod: pod('p', { affinity: anti(zoneTerm) }),
    nodes: [node('a', {}, { zone: '1' }), node('b', {}, { zone: '1' }), node('c', {}, { zone: '2' })],
    pods: [onA({ app: 'x' })],
    expect: 'c',
  },
  {
    name: 'together',
    pod: pod('p', { affinity: together(term) }),
    nodes: two,
    pods: [pod('o', { nodeName: 'b' }, { app: 'x' })],
    expect: 'b',
  },
  {
    name: 'together, the first',
    pod: pod('p', { affinity: together(term) }, { app: 'x' }),
    nodes: two,
    expect: 'a',
  },
  {
    name: 'together, nobody',
    pod: pod('p', { affinity: together(term) }),
    nodes: [node('a')],
    expect: /didn't match pod affinity rules/,
  },
  {
    name: 'preferred anti-affinity',
    pod: pod('p', {
      affinity: {
        podAntiAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }],
        },
      },
    }),
    nodes: two,
    pods: [onA({ app: 'x' }), pod('b1', { nodeName: 'b' }), pod('b2', { nodeName: 'b' })],
    expect: 'b',
  },
  {
    name: 'spread',
    pod: pod('p', { topologySpreadConstraints: [spread] }, { app: 'x' }),
    nodes: two,
    pods: [onA({ app: 'x' })],
    expect: 'b',
  },
  {
    name: 'spread is full',
    pod: pod('p', { topologySpreadConstraints: [spread] }, { app: 'x' }),
    nodes: [node('a'), node('b', { spec: { unschedulable: true } })],
    pods: [onA({ app: 'x' })],
    expect: /topology spread constraints/,
  },
  {
    name: 'spread, softly',
    pod: pod(
      'p',
      { topologySpreadConstraints: [{ ...spread, whenUnsatisfiable: 'ScheduleAnyway' }] },
      { app: 'x' },
    ),
    nodes: [node('a'), node('b', { spec: { unschedulable: true } })],
    pods: [onA({ app: 'x' })],
    expect: 'a',
  },
  {
    name: 'cpu',
    pod: pod('p', needs('600m')),
    nodes: [node('a', allocatable('1')), node('b', allocatable('1'))],
    pods: [onA({}, needs('500m'))],
    expect: 'b',
  },
  {
    name: 'no cpu',
    pod: pod('p', needs('2')),
    nodes: [node('a', allocatable('1'))],
    expect: /Insufficient cpu/,
  },
  {
    name: 'too many pods',
    pod: pod('p'),
    nodes: [node('a', allocatable('1'))],
    pods: [onA({}), pod('o2', { nodeName: 'a' })],
    expect: /Too many pods/,
  },
  {
    name: 'volume',
    pod: pod('p'),
    nodes: two,
    claims: [{ state: 'bound', name: 'd', volume: volumeOn('b') }],
    expect: 'b',
  },
  {
    name: 'volume elsewhere',
    pod: pod('p'),
    nodes: [node('a')],
    claims: [{ state: 'bound', name: 'd', volume: volumeOn('b') }],
    expect: /volume node affinity conflict/,
  },
  {
    name: 'claim missing',
    pod: pod('p'),
    nodes: two,
    claims: [{ state: 'missing', name: 'd' }],
    expect: 'persistentvolumeclaim "d" not found',
  },
  {
    name: 'claim waits for us',
    pod: pod('p'),
    nodes: two,
    claims: [{ state: 'unbound', name: 'd', waits: true }],
    expect: 'a',
  },
  {
    name: 'claim binds first',
    pod: pod('p'),
    nodes: two,
    claims: [{ state: 'unbound', name: 'd', waits: false }],
    expect: /unbound immediate/,
  },
];

test('where a pod goes', () => {
  for (const { name, pod: wanted, nodes, pods = [], claims = [], expect } of cases) {
    const snapshot: Snapshot = { nodes, pods, namespaces: [] };
    const choice = place(wanted, claims, snapshot);
    const said = choice.node ?? choice.message;
    if (typeof expect === 'string') assert.equal(said, expect, name);
    else assert.match(said, expect, name);
  }
});

test('tolerations', () => {
  const taint = { key: 'k', value: 'v', effect: 'NoExecute' };
  const yes = [
    { operator: 'Exists' },
    { key: 'k', operator: 'Exists' },
    { key: 'k', value: 'v' },
    { key: 'k', value: 'v', effect: 'NoExecute' },
  ];
  const no = [
    {},
    { key: 'j', operator: 'Exists' },
    { key: 'k', value: 'w' },
    { key: 'k', operator: 'Exists', effect: 'NoSchedule' },
  ];
  for (const one of yes) assert.ok(tolerates([one], taint), JSON.stringify(one));
  for (const one of no) assert.ok(!tolerates([one], taint), JSON.stringify(one));
});

test('node selector terms: any of them, all in one', () => {
  const a = node('a', {}, { x: '1', n: '5' });
  const terms = (...all: [string, string, string[]?][]) => [
    { matchExpressions: all.map(([key, operator, values]) => ({ key, operator, values })) },
  ];
  assert.ok(matchesTerms(a, terms(['x', 'In', ['1']], ['y', 'DoesNotExist'])));
  assert.ok(!matchesTerms(a, terms(['x', 'In', ['1']], ['y', 'Exists'])));
  assert.ok(matchesTerms(a, [...terms(['y', 'Exists']), ...terms(['n', 'Gt', ['4']])]));
  assert.ok(!matchesTerms(a, terms(['n', 'Lt', ['5']])));
  assert.ok(!matchesTerms(a, [{}]), 'an empty term matches nothing');
  assert.ok(matchesTerms(a, [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }]));
});

test('what the scheduler looks at', () => {
  assert.ok(isToSchedule(pod('p')));
  assert.ok(!isToSchedule(pod('p', { nodeName: 'a' })));
  assert.ok(!isToSchedule(pod('p', { schedulerName: 'mine' })));
  assert.ok(!isToSchedule({ ...pod('p'), metadata: { name: 'p', deletionTimestamp: 'now' } }));
  const beat = node('a', {
    status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: 'later' }] },
  });
  assert.ok(!nodeMatters(beat, node('a')));
  assert.ok(nodeMatters(node('a', { spec: { unschedulable: true } }), node('a')));
  assert.ok(nodeMatters(node('a'), node('a', { status: {} })));
  const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'd' }, spec: {} };
  const waiting = {
    apiVersion: 's',
    kind: 'StorageClass',
    metadata: { name: 'c' },
    provisioner: 'p',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  assert.deepEqual(claimFact('d', undefined, undefined, undefined), { state: 'missing', name: 'd' });
  assert.deepEqual(claimFact('d', claim, waiting, undefined), {
    state: 'unbound',
    name: 'd',
    waits: true,
    node: undefined,
  });
  const bound = { ...claim, spec: { volumeName: 'v' }, status: { phase: 'Bound' } };
  assert.equal(claimFact('d', bound, waiting, volumeOn('a')).state, 'bound');
  assert.equal(claimFact('d', bound, waiting, undefined).state, 'unbound');
});
