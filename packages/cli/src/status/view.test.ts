import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceReport, LeaseRecord } from '@pgherd/api';
import type { Pod } from '@pgherd/kube';
import type { ClusterObject, OperationObject } from '../kinds.ts';
import type { Observed } from './observe.ts';
import { renderStatus } from './render.ts';
import { lag, viewOf } from './view.ts';

const NOW = Date.parse('2026-01-01T00:01:00Z');

function pod(name: string, node: string, ready = true): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'ns', uid: `uid-${name}` },
    spec: { nodeName: node, containers: [] },
    status: {
      phase: 'Running',
      podIP: '10.244.1.2',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      containerStatuses: [{ name: 'postgres', restartCount: 0, state: { running: { startedAt: '' } } }],
    },
  } as unknown as Pod;
}

function report(name: string, more: Partial<InstanceReport>): InstanceReport {
  return {
    name,
    podUID: `uid-${name}`,
    identity: 'x',
    role: 'replica',
    state: 'running',
    ready: true,
    leader: false,
    streaming: true,
    replication: [],
    dataEmpty: false,
    timeline: 2,
    ...more,
  };
}

function observed(more: Partial<Observed> = {}): Observed {
  const primary = report('demo-2', {
    role: 'primary',
    leader: true,
    streaming: false,
    currentLsn: '0/5000000',
    syncNames: 'ANY 1 ("demo-1","demo-3")',
    replication: [
      { name: 'demo-1', state: 'streaming', syncState: 'quorum', flushLsn: '0/5000000' },
      { name: 'demo-3', state: 'catchup', syncState: 'quorum', flushLsn: '0/4F00000' },
    ],
  });
  return {
    cluster: {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: { name: 'demo', namespace: 'ns' },
      spec: { instances: 3, storage: { size: '1Gi' } },
      status: { phase: 'Degraded', phaseReason: 'demo-3 does not stream', currentPrimary: 'demo-1' },
    } as ClusterObject,
    pods: [pod('demo-1', 'node-1'), pod('demo-2', 'node-2'), pod('demo-3', 'node-3', false)],
    lease: {
      holder: 'uid-demo-2/1',
      epoch: 4,
      leader: { name: 'demo-2', podUID: 'uid-demo-2', address: '' },
      members: [],
      rules: [],
    } as LeaseRecord,
    operations: [],
    answers: new Map([
      ['demo-1', { report: report('demo-1', { replayedLsn: '0/5000000' }) }],
      ['demo-2', { report: primary }],
      [
        'demo-3',
        {
          report: report('demo-3', {
            ready: false,
            streaming: false,
            waiting: { what: 'its copy', since: '2026-01-01T00:00:30Z', deadline: '2026-01-01T00:02:00Z' },
          }),
        },
      ],
    ]),
    ...more,
  };
}

test('the Lease says who leads, not a status that lags behind', () => {
  const view = viewOf(observed(), NOW);
  assert.equal(view.primary, 'demo-2');
  assert.deepEqual(
    view.instances.map(({ name, role, state, sync, lagBytes }) => [name, role, state, sync, lagBytes]),
    [
      ['demo-1', 'replica', 'streaming', 'quorum', 0],
      ['demo-2', 'primary', 'running', undefined, undefined],
      ['demo-3', 'replica', 'not streaming', 'quorum', 0x100000],
    ],
  );
});

test('without an operator its last word is told as an old one', () => {
  const view = viewOf(observed({ operatorAwaySince: '2026-01-01T00:00:20Z' }), NOW);
  assert.equal(view.phase, 'Unknown');
  assert.match(
    renderStatus(view).join(' ').replace(/\s+/g, ' '),
    /^demo Unknown .* no operator works; when it was last heard of, at 2026-01-01T00:00:20Z, this was Degraded: demo-3 does not stream/,
  );
});

test('who cannot be made the primary just now is told why', () => {
  const why = (change: (observed: Observed) => void) => {
    const seen = observed();
    change(seen);
    return viewOf(seen, NOW).instances.map((each) => each.cannotLead);
  };
  assert.deepEqual(
    why(() => undefined),
    [undefined, undefined, 'not streaming'],
  );
  const first = (o: Observed) => o.pods[0]!.metadata;
  const cases: [RegExp, (observed: Observed) => void][] = [
    [/^fenced$/, (o) => (o.cluster.metadata.annotations = { 'pgherd.io/fenced': '["demo-1"]' })],
    [/^never leads/, (o) => (o.cluster.spec.failoverPriority = { 'demo-1': 0 })],
    [/^being removed$/, (o) => (first(o).annotations = { 'pgherd.io/leaving': '2026-01-01T00:00:00Z' })],
    [
      /^too far behind$/,
      (o) => {
        o.cluster.spec.maximumLag = '1Ki';
        Object.assign(o.answers.get('demo-2')!.report!, { currentLsn: '0/5000500' });
      },
    ],
    [
      /^too far behind$/,
      (o) => {
        // The primary is gone: what it last said that it had counts.
        o.answers.delete('demo-2');
        o.lease!.position = '0/9000000';
        o.cluster.spec.maximumLag = '1Ki';
        Object.assign(o.answers.get('demo-1')!.report!, { receivedLsn: '0/5000000' });
      },
    ],
  ];
  for (const [expected, change] of cases) assert.match(why(change)[0] ?? '', expected);
});

test('each wait says whose it is, since when and how long it may take', () => {
  assert.deepEqual(viewOf(observed(), NOW).waits, ['demo-3: waits for its copy (since 30 s, 60 s left)']);
});

test('an instance that does not answer is shown with the reason', () => {
  const silent = observed({ answers: new Map([['demo-1', { problem: 'connection refused' }]]) });
  const view = viewOf(silent, NOW);
  assert.ok(view.waits.includes('demo-1: does not answer: connection refused'));
  const [silentOne] = view.instances;
  assert.deepEqual([silentOne?.ready, silentOne?.state], [false, 'no answer']);
  assert.equal(view.instances.find((each) => each.name === 'demo-2')?.role, 'primary');
});

test('who may run nothing in pods is told so once, and no instance is called silent for it', () => {
  const names = ['demo-1', 'demo-2', 'demo-3'];
  const asked = observed({ answers: new Map(names.map((name) => [name, { forbidden: true }])) });
  for (const { metadata } of asked.pods) metadata.labels = { 'pgherd.io/role': 'replica' };
  const view = viewOf(asked, NOW);
  assert.equal(view.waits.length, 1);
  assert.match(view.waits[0]!, /you may run no commands in the pods \(pods\/exec\)/);
  assert.deepEqual(
    view.instances.map(({ role, state, ready }) => [role, state, ready]),
    [
      ['replica', 'running', true],
      ['primary', 'running', true],
      ['replica', 'running', false],
    ],
  );
  assert.match(renderStatus(view).join('\n'), /2\/3 instances ready[\s\S]*Synchronous {2}unknown/);
});

const switchover = {
  apiVersion: 'pgherd.io/v1',
  kind: 'Operation',
  metadata: { name: 'demo-switchover-1', namespace: 'ns', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { cluster: 'demo', type: 'Switchover' },
  status: {
    phase: 'Running',
    startedAt: '2026-01-01T00:00:01Z',
    steps: [
      { name: 'check the target', state: 'Done' },
      {
        name: 'hand over',
        state: 'Running',
        startedAt: '2026-01-01T00:00:02Z',
        message: 'demo-2 waits for demo-1 to be ready for the hand-over',
      },
    ],
  },
} as unknown as OperationObject;

test('an Operation that has not ended is named near the top, with its step, since when, and what it waits for', () => {
  const queued = { ...switchover, metadata: { ...switchover.metadata, name: 'b' }, status: undefined };
  const view = viewOf(observed({ operations: [switchover, queued] }), NOW);
  assert.deepEqual(view.operations, [
    {
      name: 'demo-switchover-1',
      type: 'Switchover',
      phase: 'Running',
      step: 'hand over',
      since: '2026-01-01T00:00:02Z',
      waitsFor: 'demo-2 waits for demo-1 to be ready for the hand-over',
    },
    {
      name: 'b',
      type: 'Switchover',
      phase: 'Pending',
      step: undefined,
      since: '2026-01-01T00:00:00Z',
      waitsFor: 'the operator has not taken it up yet',
    },
  ]);
  const page = renderStatus(view).join('\n').replace(/\s+/g, ' ');
  assert.match(
    page.slice(0, 300),
    /Switchover demo-switchover-1, at 'hand over' since 2026-01-01T00:00:02Z: demo-2 waits/,
  );
});

test('the page fits into 80 columns', () => {
  for (const line of renderStatus(viewOf(observed(), NOW))) assert.ok(line.length <= 80, line);
});

test('lag is counted in bytes across the 4 GiB line, and is never negative', () => {
  assert.equal(lag('1/10', '0/FFFFFFF0'), 32);
  assert.equal(lag('0/10', '0/20'), 0);
  assert.equal(lag(undefined, '0/20'), undefined);
});
