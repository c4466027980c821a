/** Who may take over, and how a switchover goes on from each state it can be found in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationSpec } from '@pgherd/api';
import type { Facts } from '../../cluster/facts.ts';
import { healthyFacts, instance, testLease, testReport } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { planSwitchover } from './plan.ts';

type Parameters = NonNullable<OperationSpec['switchover']>;

const plan = (facts: Facts, switchover: Parameters = {}, notes: Record<string, string> = {}) =>
  planSwitchover(baseFacts(facts, { type: 'Switchover', switchover }, notes));

/** The primary has written up to 1 GiB; demo-2 has the given position. */
function lagging(flushLsn: string): Facts {
  const facts = healthyFacts();
  instance(facts, 'demo-1').report = testReport('demo-1', 'primary', {
    currentLsn: '0/40000000',
    replication: [{ name: 'demo-2', state: 'streaming', syncState: 'async', flushLsn }],
  });
  return facts;
}

function spoiled(spoil: (facts: Facts) => void): Facts {
  const facts = healthyFacts();
  spoil(facts);
  return facts;
}

const headless = (more: (facts: Facts) => void = () => undefined) =>
  spoiled((facts) => {
    more(facts);
    facts.lease = testLease(null, ['demo-1', 'demo-2', 'demo-3'], { epoch: 3 });
    delete instance(facts, 'demo-1').report;
    instance(facts, 'demo-1').silent = 'no answer in time';
  });

/** No primary, and one that a required rule asks for does not answer. */
function unsafe(): Facts {
  const facts = headless();
  const rules = [{ method: 'any' as const, number: 1, names: ['demo-2', 'demo-3'], required: true }];
  facts.lease = { ...facts.lease!, rules };
  delete instance(facts, 'demo-3').report;
  return facts;
}

const refusals: [string, Facts, Parameters, string, RegExp][] = [
  ['an unknown target', healthyFacts(), { target: 'demo-9' }, 'TargetUnknown', /demo-1, demo-2, demo-3/],
  [
    'an unknown target, forced',
    healthyFacts(),
    { target: 'demo-9', force: true },
    'TargetUnknown',
    /no instance demo-9/,
  ],
  ['a lagging target', lagging('0/30000000'), { target: 'demo-2' }, 'TargetLags', /bytes of WAL behind/],
  [
    'a target that does not stream',
    spoiled((facts) => {
      instance(facts, 'demo-2').report = testReport('demo-2', 'replica', { streaming: false });
    }),
    { target: 'demo-2' },
    'TargetNotReady',
    /does not stream from demo-1/,
  ],
  [
    'a fenced target, forced',
    spoiled((facts) => {
      facts.cluster.metadata.annotations = { 'pgherd.io/fenced': '["demo-2"]' };
    }),
    { target: 'demo-2', force: true },
    'TargetFenced',
    /fencing off demo demo-2/,
  ],
  [
    'a target that is never to lead by itself',
    spoiled((facts) => {
      facts.spec.failoverPriority = { 'demo-2': 0 };
    }),
    { target: 'demo-2' },
    'TargetNeverLeads',
    /spec\.failoverPriority\): raise that, or name it with --force/,
  ],
  ['no replica at all', healthyFacts({}, 1), {}, 'NoTarget', /there is none/],
  [
    'no primary',
    headless(),
    {},
    'NoPrimary',
    /demo-1: it does not answer.*the instances elect one, .*: ask again then\. Only if none comes.*INSTANCE --accept-loss/,
  ],
  [
    'no primary, and no election is safe',
    unsafe(),
    { target: 'demo-2' },
    'NoPrimary',
    /it does not answer.*; to make one in spite of what may be lost: pgherd promote demo demo-2 --accept-loss/,
  ],
  [
    'no primary, and nobody who would lead by itself',
    headless((facts) => {
      facts.spec.failoverPriority = { 'demo-2': 0, 'demo-3': 0 };
    }),
    { target: 'demo-2' },
    'NoPrimary',
    /nothing is lost if spec\.failoverPriority, which is 0 for demo-2, demo-3, is raised for one; to make one/,
  ],
];

for (const [what, facts, parameters, reason, says] of refusals)
  test(`refused: ${what}`, () => {
    const outcome = plan(facts, parameters);
    assert.equal(outcome.next, 'fail');
    assert.equal(outcome.next === 'fail' && outcome.reason, reason);
    assert.match(outcome.message, says);
  });

test('the primary itself as the target is done already', () => {
  assert.deepEqual(plan(healthyFacts(), { target: 'demo-1' }), {
    next: 'succeed',
    message: 'demo-1 is the primary already',
    result: { newPrimary: 'demo-1' },
  });
});

const wish = (facts: Facts, parameters: Parameters) => {
  const outcome = plan(facts, parameters);
  assert.equal(outcome.next, 'step');
  const [action] = outcome.actions ?? [];
  assert.equal(action?.do, 'patch');
  const { annotations } = (action as { body: { metadata: { annotations: Record<string, string> } } }).body
    .metadata;
  return Object.fromEntries(Object.entries(annotations).map(([key, value]) => [key, JSON.parse(value)]));
};

/** The end of its deadline: nobody begins it after that. */
const until = '2026-06-01T12:03:00.000Z';

test('the wish goes on the Cluster, with the operation as its id', () => {
  assert.deepEqual(wish(healthyFacts(), {}), {
    'pgherd.io/switchover': { id: 'uid-op', from: 'demo-1', until },
  });
  assert.deepEqual(wish(lagging('0/30000000'), { target: 'demo-2', force: true }), {
    'pgherd.io/switchover': { id: 'uid-op', from: 'demo-1', to: 'demo-2', force: true, until },
  });
});

test('loss is accepted only where there is no primary', () => {
  assert.deepEqual(wish(headless(), { target: 'demo-2', acceptLoss: true }), {
    'pgherd.io/promote': { id: 'uid-op', to: 'demo-2', epoch: 3 },
  });
  assert.deepEqual(wish(healthyFacts(), { target: 'demo-2', acceptLoss: true }), {
    'pgherd.io/switchover': { id: 'uid-op', from: 'demo-1', to: 'demo-2', until },
  });
});

const notes = { from: 'demo-1', epoch: '3', forced: 'false', to: 'demo-2' };
const now = (leader: string, report: object = {}) =>
  spoiled((facts) => {
    facts.lease = testLease(leader, ['demo-1', 'demo-2', 'demo-3'], { epoch: 4 });
    instance(facts, 'demo-1').report = testReport('demo-1', 'replica', {
      service: { until: '2026-06-01T12:00:00.000Z' },
    });
    instance(facts, leader).report = testReport(leader, 'primary', {
      service: { since: '2026-06-01T12:00:00.250Z' },
      ...report,
    });
  });

test('an operator that was killed before it asked asks now', () => {
  const outcome = plan(healthyFacts(), { target: 'demo-2' }, notes);
  assert.equal(outcome.next === 'step' && outcome.actions?.length, 1);
});

test('an operator that was killed after it asked does not ask again', () => {
  const facts = spoiled((spoilt) => {
    spoilt.cluster.metadata.annotations = { 'pgherd.io/switchover': '{"id":"uid-op","from":"demo-1"}' };
  });
  const outcome = plan(facts, { target: 'demo-2' }, notes);
  assert.deepEqual(outcome.next === 'step' && outcome.actions, []);
});

test('what the old primary says of its failure is the reason', () => {
  const facts = spoiled((spoilt) => {
    instance(spoilt, 'demo-1').report = testReport('demo-1', 'primary', {
      switchover: { id: 'uid-op', outcome: 'failed', why: 'demo-2 was not ready to take over within 60 s' },
    });
  });
  const outcome = plan(facts, { target: 'demo-2' }, notes);
  assert.equal(outcome.next, 'fail');
  assert.match(outcome.message, /demo-2 was not ready/);
});

test('done when the new primary serves and the old one follows', () => {
  const outcome = plan(now('demo-2'), { target: 'demo-2' }, notes);
  assert.equal(outcome.next, 'succeed');
  assert.deepEqual(outcome.result, { newPrimary: 'demo-2', outageMs: '250' });
});

test('not done while the new primary is being promoted', () => {
  const outcome = plan(now('demo-2', { role: 'replica', ready: false }), { target: 'demo-2' }, notes);
  assert.equal(outcome.next === 'step' && outcome.step, 'new primary serves');
});

test('an old primary that does not follow is waited for, but not for ever', () => {
  const facts = now('demo-2');
  instance(facts, 'demo-1').report = testReport('demo-1', 'replica', { streaming: false });
  const first = plan(facts, {}, notes);
  assert.equal(first.next === 'step' && first.step, 'old primary follows');
  const late = plan(facts, {}, { ...notes, servesAt: String(facts.now - 61_000) });
  assert.equal(late.next, 'succeed');
  assert.match(late.message, /demo-1 does not follow yet/);
});

test('another instance than the target is a failure', () => {
  const outcome = plan(now('demo-3'), { target: 'demo-2' }, notes);
  assert.equal(outcome.next === 'fail' && outcome.reason, 'OtherPrimary');
});

test('where loss was accepted, the old primary is not waited for', () => {
  const facts = now('demo-2');
  delete instance(facts, 'demo-1').report;
  const outcome = plan(facts, { target: 'demo-2', acceptLoss: true }, { ...notes, forced: 'true' });
  assert.equal(outcome.next, 'succeed');
  assert.deepEqual(outcome.skipped, ['old primary follows']);
});

test('a target that is not well is refused for want of a primary, not for that', () => {
  const facts = headless();
  instance(facts, 'demo-2').report = testReport('demo-2', 'replica', { streaming: false });
  const outcome = plan(facts, { target: 'demo-2' });
  assert.equal(outcome.next === 'fail' && outcome.reason, 'NoPrimary');
});
