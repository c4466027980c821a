import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ANNOTATION_RESTORE,
  type ClusterRestoration,
  type ClusterStatus,
  type LeaseRecord,
} from '@pgherd/api';
import {
  bareFacts,
  healthyFacts,
  testClaim,
  testCluster,
  testLease,
  testPod,
  testReport,
} from '../testing/facts.ts';
import type { Action } from './actions.ts';
import type { Facts } from './facts.ts';
import { planRestoration } from './plan-restoration.ts';

const ID = 'operation-uid';
const mark = (more: object = {}) => ({
  [ANNOTATION_RESTORE]: JSON.stringify({
    id: ID,
    operation: 'restore-1',
    source: { from: 'repository' },
    ...more,
  }),
});
const SAVED = testLease(null, ['demo-1', 'demo-2', 'demo-3'], { timeline: 2 });
const under = (
  stage: ClusterRestoration['stage'],
  more: Partial<ClusterRestoration> = {},
): ClusterRestoration => ({
  id: ID,
  stage,
  instance: 'demo-4',
  source: '{"from":"repository"}',
  old: ['demo-1', 'demo-2', 'demo-3'],
  ...more,
});
const anew: LeaseRecord = {
  holder: null,
  epoch: 4,
  begunAnew: 4,
  designated: 'demo-4',
  timeline: 2,
  members: [],
  rules: [],
};

/** A cluster of three in some state of a restore. */
function facts(
  restoration: ClusterRestoration | undefined,
  more: {
    marked?: object | false;
    lease?: LeaseRecord;
    pods?: string[];
    volumes?: number[];
    old?: number[];
    recovered?: boolean;
    healthy?: string[];
    /** Pods that were told to stop; their grace period ended so many milliseconds ago. */
    overdue?: [string, number][];
    deadNode?: boolean;
  } = {},
): Facts {
  const status: ClusterStatus = restoration ? { restoration } : {};
  const all = healthyFacts({}, 3, status);
  const { marked = {}, lease, pods = [], volumes = [], old = [], recovered, healthy = [] } = more;
  if (marked !== false) all.cluster.metadata.annotations = mark(marked);
  if (!restoration) return all;
  const serials = new Set([...volumes, ...pods.map((name) => Number(name.slice(5)))]);
  all.lease = lease ?? SAVED;
  all.leaseVersion = '77';
  all.old = old.map((serial) => ({ name: `demo-${serial}`, serial, data: testClaim(all, serial) }));
  all.instances = [...serials].sort().map((serial) => {
    const name = `demo-${serial}`;
    const leads = all.lease?.leader?.name === name;
    const report = testReport(
      name,
      leads ? 'primary' : 'replica',
      recovered && leads ? { recovered: { id: ID, backup: 'B', timeline: 3, finishedAt: 'then' } } : {},
    );
    return {
      name,
      serial,
      data: testClaim(all, serial),
      ...(pods.includes(name) ? { pod: testPod(all, name) } : {}),
      ...(leads || healthy.includes(name) ? { report } : {}),
    };
  });
  for (const [name, ms] of more.overdue ?? []) {
    const { pod } = all.instances.find((each) => each.name === name)!;
    pod!.metadata.deletionTimestamp = new Date(all.now - ms).toISOString();
    pod!.spec.nodeName = 'node-x';
  }
  all.unready = new Set(more.deadNode ? ['node-x'] : []);
  return all;
}

const spelled = (action: Action): string => {
  if (action.do === 'lease')
    return `lease ${action.version} epoch ${action.record.epoch} ${action.record.systemID ? 'as before' : `anew for ${action.record.designated}`}`;
  if (action.do === 'delete' || action.do === 'patch')
    return `${action.do} ${action.kind.kind} ${action.name}`;
  return action.do;
};

interface Case {
  what: string;
  facts: Facts;
  stage: string | undefined;
  actions: string[];
  hold?: boolean;
  status?: object;
  also?: (next: ClusterRestoration | undefined) => void;
}

const leads4 = testLease('demo-4', ['demo-4']);
const CASES: Case[] = [
  {
    what: 'asked for',
    facts: facts(undefined),
    stage: 'stopping',
    actions: [],
    hold: true,
    also: (next) => assert.deepEqual([next?.instance, next?.old], ['demo-4', ['demo-1', 'demo-2', 'demo-3']]),
  },
  { what: 'not asked for', facts: facts(undefined, { marked: false }), stage: 'none', actions: [] },
  {
    what: 'asked back before it began',
    facts: facts(undefined, { marked: { back: true } }),
    stage: 'none',
    actions: [],
  },
  {
    what: 'replicas stop first',
    facts: facts(under('stopping'), { pods: ['demo-1', 'demo-2', 'demo-3'], lease: testLease('demo-1', []) }),
    stage: 'stopping',
    actions: ['delete Pod demo-2', 'delete Pod demo-3'],
    hold: true,
  },
  {
    what: 'a replica that takes its time',
    facts: facts(under('stopping'), {
      pods: ['demo-1', 'demo-2'],
      lease: testLease('demo-1', []),
      overdue: [['demo-2', 10_000]],
    }),
    stage: 'stopping',
    actions: [],
    hold: true,
  },
  {
    what: 'a replica that does not stop: back, with the primary untouched',
    facts: facts(under('stopping'), {
      pods: ['demo-1', 'demo-2'],
      lease: testLease('demo-1', []),
      overdue: [['demo-2', 61_000]],
    }),
    stage: 'returning',
    actions: [],
    hold: true,
    also: (next) => assert.match(next?.message ?? '', /demo-2 cannot be stopped.*kubectl delete node node-x/),
  },
  {
    what: 'its node is known to be silent: back at once',
    facts: facts(under('stopping'), {
      pods: ['demo-1', 'demo-2'],
      lease: testLease('demo-1', []),
      overdue: [['demo-2', -10_000]],
      deadNode: true,
    }),
    stage: 'returning',
    actions: [],
    hold: true,
  },
  {
    what: 'why it came back is kept',
    facts: facts(under('returning', { message: 'demo-2 cannot be stopped' }), { volumes: [1, 2, 3] }),
    stage: 'returned',
    actions: [],
    hold: true,
    also: (next) => assert.equal(next?.message, 'demo-2 cannot be stopped'),
  },
  {
    what: 'then the primary',
    facts: facts(under('stopping'), { pods: ['demo-1'], lease: testLease('demo-1', []) }),
    stage: 'stopping',
    actions: ['delete Pod demo-1'],
    hold: true,
  },
  {
    what: 'without a leader all at once',
    facts: facts(under('stopping'), { pods: ['demo-1', 'demo-2'] }),
    stage: 'stopping',
    actions: ['delete Pod demo-1', 'delete Pod demo-2'],
    hold: true,
  },
  {
    what: 'what the Lease said is saved first',
    facts: facts(under('stopping'), { volumes: [1, 2, 3] }),
    stage: 'stopping',
    actions: [],
    hold: true,
    also: (next) => assert.deepEqual(JSON.parse(next?.record ?? ''), SAVED),
  },
  {
    what: 'then it begins anew',
    facts: facts(under('stopping', { record: JSON.stringify(SAVED) }), { volumes: [1] }),
    stage: 'stopping',
    actions: ['lease 77 epoch 4 anew for demo-4'],
    hold: true,
  },
  {
    what: 'seen to have begun anew',
    facts: facts(under('stopping', { record: JSON.stringify(SAVED) }), { volumes: [1], lease: anew }),
    stage: 'restoring',
    actions: [],
    hold: true,
  },
  {
    what: 'restoring goes on',
    facts: facts(under('restoring'), { pods: ['demo-4'], lease: anew, old: [1, 2, 3] }),
    stage: 'restoring',
    actions: [],
  },
  {
    what: 'leading is not yet an answer',
    facts: facts(under('restoring'), { pods: ['demo-4'], lease: leads4, old: [1] }),
    stage: 'restoring',
    actions: [],
  },
  {
    what: 'the restored primary answers',
    facts: facts(under('restoring'), { pods: ['demo-4'], lease: leads4, old: [1], recovered: true }),
    stage: 'rebuilding',
    actions: [],
    hold: true,
    status: { recovered: { operation: 'restore-1', backup: 'B', timeline: 3, finishedAt: 'then' } },
  },
  {
    what: 'replicas are waited for',
    facts: facts(under('rebuilding'), { pods: ['demo-4', 'demo-5'], lease: leads4, old: [1] }),
    stage: 'rebuilding',
    actions: [],
    also: (next) => assert.equal(next?.message, 'waits for demo-5 to stream'),
  },
  {
    what: 'a restored instance that does not lead at the moment is not said to stream',
    facts: facts(under('rebuilding'), {
      pods: ['demo-4', 'demo-5', 'demo-6'],
      lease: anew,
      old: [1],
      healthy: ['demo-5', 'demo-6'],
    }),
    stage: 'rebuilding',
    actions: [],
    also: (next) => assert.equal(next?.message, 'waits for demo-4 to be ready'),
  },
  {
    what: 'no way back once it has answered',
    facts: facts(under('rebuilding'), { pods: ['demo-4'], lease: leads4, old: [1], marked: { back: true } }),
    stage: 'rebuilding',
    actions: [],
  },
  {
    what: 'all are there',
    facts: facts(under('rebuilding'), {
      pods: ['demo-4', 'demo-5', 'demo-6'],
      lease: leads4,
      old: [1],
      healthy: ['demo-5', 'demo-6'],
    }),
    stage: 'cleaning',
    actions: [],
  },
  {
    what: 'old volumes go',
    facts: facts(under('cleaning'), { pods: ['demo-4'], lease: leads4, old: [1, 2] }),
    stage: 'cleaning',
    actions: ['delete PersistentVolumeClaim demo-1', 'delete PersistentVolumeClaim demo-2'],
  },
  {
    what: 'old volumes are kept',
    facts: facts(under('cleaning', { keepOldVolumes: true }), { pods: ['demo-4'], lease: leads4, old: [1] }),
    stage: 'cleaning',
    actions: ['patch PersistentVolumeClaim demo-1'],
  },
  {
    what: 'they are gone',
    facts: facts(under('cleaning'), { pods: ['demo-4'], lease: leads4 }),
    stage: 'done',
    actions: [],
  },
  {
    what: 'done, and not yet seen',
    facts: facts(under('done'), { pods: ['demo-4'], lease: leads4 }),
    stage: 'done',
    actions: [],
  },
  {
    what: 'done, and seen',
    facts: facts(under('done'), { pods: ['demo-4'], lease: leads4, marked: false }),
    stage: undefined,
    actions: [],
  },
  {
    what: 'back while stopping',
    facts: facts(under('stopping'), { pods: ['demo-1'], marked: { back: true } }),
    stage: 'returning',
    actions: [],
    hold: true,
  },
  {
    what: 'back while restoring',
    facts: facts(under('restoring'), { pods: ['demo-4'], marked: { back: true } }),
    stage: 'returning',
    actions: [],
    hold: true,
  },
  {
    what: 'the restored pod goes',
    facts: facts(under('returning', { record: JSON.stringify(SAVED) }), {
      pods: ['demo-4'],
      lease: anew,
      old: [1],
    }),
    stage: 'returning',
    actions: ['delete Pod demo-4'],
    hold: true,
  },
  {
    what: 'then its volume',
    facts: facts(under('returning', { record: JSON.stringify(SAVED) }), {
      volumes: [4],
      lease: anew,
      old: [1],
    }),
    stage: 'returning',
    actions: ['delete PersistentVolumeClaim demo-4'],
    hold: true,
  },
  {
    what: 'then the Lease says what it said',
    facts: facts(under('returning', { record: JSON.stringify(SAVED) }), {
      lease: { ...anew, epoch: 6 },
      old: [1],
    }),
    stage: 'returning',
    actions: ['lease 77 epoch 7 as before'],
    hold: true,
  },
  {
    what: 'and all is as before',
    facts: facts(under('returning', { record: JSON.stringify(SAVED) }), {
      lease: { ...SAVED, epoch: 7 },
      old: [1],
    }),
    stage: 'returned',
    actions: [],
    hold: true,
    status: { systemID: SAVED.systemID },
  },
  {
    what: 'back before the Lease was touched',
    facts: facts(under('returning'), { volumes: [1, 2, 3] }),
    stage: 'returned',
    actions: [],
    hold: true,
  },
  {
    what: 'returned, and seen',
    facts: facts(under('returned'), { volumes: [1], marked: false }),
    stage: undefined,
    actions: [],
  },
];

for (const { what, facts: given, stage, actions, hold = false, status = {}, also } of CASES)
  test(what, () => {
    const plan = planRestoration(given);
    if (stage === 'none') return assert.equal(plan, undefined);
    assert.equal(plan?.next?.stage, stage);
    assert.deepEqual(plan?.actions.map(spelled), actions);
    assert.equal(plan?.hold, hold);
    assert.deepEqual(plan?.status, status);
    also?.(plan?.next);
  });

test('a new cluster is restored by the instance that the Lease names', () => {
  const bare = bareFacts(testCluster({ bootstrap: { recovery: {} } }));
  bare.recovery = { from: 'cluster', cluster: 'other' };
  const plan = planRestoration(bare);
  assert.deepEqual(plan?.next, {
    id: 'bootstrap',
    stage: 'restoring',
    instance: 'demo-1',
    source: '{"from":"cluster","cluster":"other"}',
  });
  assert.equal(plan?.hold, false);
  assert.equal(planRestoration({ ...bare, recovery: { problem: 'no such Backup' } }), undefined);
  assert.equal(planRestoration({ ...bare, lease: testLease('demo-1', []) }), undefined);
});

test('numbers that were reserved for timelines are never given again, whichever way it goes', () => {
  const saved = { ...SAVED, reserved: 5 };
  const lease = (all: Facts) =>
    planRestoration(all)?.actions.flatMap((action) =>
      action.do === 'lease' ? [action.record.reserved] : [],
    );
  const record = JSON.stringify(saved);
  assert.deepEqual(lease(facts(under('stopping', { record }), { lease: saved })), [5]);
  const begun = { ...anew, epoch: 6, reserved: 8 };
  assert.deepEqual(lease(facts(under('returning', { record }), { lease: begun, old: [1] })), [8]);
});
