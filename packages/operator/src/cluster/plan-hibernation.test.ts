/** The primary stops last and starts first. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterStatus } from '@pgherd/api';
import { bareFacts, healthyFacts, instance, testLease } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { plan } from './plan.ts';
import { deriveStatus } from './status/derive.ts';

function asleep(facts: Facts, ...pods: string[]): Facts {
  for (const each of facts.instances)
    if (!pods.includes(each.name)) {
      delete each.pod;
      delete each.report;
    }
  return facts;
}

const hibernating = (facts: Facts): Facts => {
  facts.cluster.metadata.annotations = { 'pgherd.io/hibernation': 'on' };
  return facts;
};

/** What is done to pods. */
const pods = (facts: Facts) =>
  plan(facts).actions.flatMap((action) => {
    if (action.do === 'createInstance') return [`create ${action.name}`];
    return action.do === 'delete' && action.kind.kind === 'Pod' ? [`delete ${action.name}`] : [];
  });
const status = (facts: Facts): ClusterStatus => deriveStatus({ facts, plan: plan(facts), failures: [] });
const condition = (facts: Facts) => status(facts).conditions?.find(({ type }) => type === 'Hibernated');

/** Woken: the status is what was written last, the annotation is gone. */
function woken(conditionStatus: 'True' | 'False', reason: string, required = true): Facts {
  const conditions = [{ type: 'Hibernated', status: conditionStatus, reason }];
  const facts = asleep(healthyFacts({}, 3, { phase: 'Hibernated', conditions }));
  const rules = [{ method: 'any' as const, number: 1, names: ['demo-2', 'demo-3'], required }];
  facts.lease = { ...testLease('demo-1', ['demo-1', 'demo-2', 'demo-3'], { rules }), holder: null };
  return facts;
}

test('replicas stop first, the primary last', () => {
  assert.deepEqual(pods(hibernating(healthyFacts())), ['delete demo-2', 'delete demo-3']);
  assert.deepEqual(pods(hibernating(asleep(healthyFacts(), 'demo-1', 'demo-2'))), ['delete demo-2']);
  assert.deepEqual(pods(hibernating(asleep(healthyFacts(), 'demo-1'))), ['delete demo-1']);
  assert.deepEqual(pods(hibernating(asleep(healthyFacts()))), []);
});

test('status says so', () => {
  assert.equal(status(hibernating(healthyFacts())).phase, 'Hibernating');
  assert.equal(condition(hibernating(healthyFacts()))?.status, 'False');
  const sleeping = hibernating(asleep(healthyFacts()));
  assert.equal(status(sleeping).phase, 'Hibernated');
  assert.match(status(sleeping).phaseReason ?? '', /pgherd hibernate off demo/);
  assert.equal(condition(sleeping)?.status, 'True');
});

test('the last primary comes first and alone, also when the stop was not finished', () => {
  assert.deepEqual(pods(woken('True', 'Requested')), ['create demo-1']);
  assert.deepEqual(pods(woken('False', 'Stopping')), ['create demo-1']);
  assert.equal(status(woken('True', 'Requested')).phase, 'Waking');
  assert.equal(condition(woken('True', 'Requested'))?.status, 'True');
});

test('the others come when it serves', () => {
  const facts = woken('True', 'Requested');
  const whole = healthyFacts();
  Object.assign(instance(facts, 'demo-1'), instance(whole, 'demo-1'));
  facts.lease = whole.lease!;
  assert.deepEqual(pods(facts), ['create demo-2', 'create demo-3']);
  assert.equal(condition(facts)?.status, 'False');
});

test('a primary that does not come is not waited for where the rule keeps an election safe', () => {
  for (const [required, expected] of [
    [true, ['create demo-2', 'create demo-3']],
    [false, []],
  ] as const) {
    const facts = woken('True', 'Requested', required);
    instance(facts, 'demo-1').pod = { ...instance(healthyFacts(), 'demo-1').pod! };
    instance(facts, 'demo-1').pod!.metadata.creationTimestamp = '2026-06-01T11:00:00Z';
    assert.deepEqual(pods(facts), expected);
    assert.equal(status(facts).phase, 'Degraded');
  }
});

test('nor where somebody accepts the loss: whom he names has to run for it', () => {
  const facts = woken('True', 'Requested', false);
  instance(facts, 'demo-1').pod = { ...instance(healthyFacts(), 'demo-1').pod! };
  const mark = { id: 'a', to: 'demo-2', epoch: facts.lease!.epoch };
  facts.cluster.metadata.annotations = { 'pgherd.io/promote': JSON.stringify(mark) };
  assert.deepEqual(pods(facts), ['create demo-2', 'create demo-3']);
});

test('in maintenance nothing is changed, and the status says how it is', () => {
  const facts = healthyFacts();
  delete instance(facts, 'demo-3').pod;
  delete instance(facts, 'demo-3').report;
  facts.cluster.metadata.annotations = { 'pgherd.io/maintenance': 'on' };
  assert.deepEqual(plan(facts).actions, []);
  const { phase, phaseReason } = status(facts);
  assert.equal(phase, 'Maintenance');
  assert.match(phaseReason ?? '', /maintenance unset demo.*otherwise it would be Degraded: demo-3/);
});

test('a cluster without a database yet gets it before it sleeps', () => {
  const facts = hibernating(bareFacts());
  assert.deepEqual(pods(facts), ['create demo-1', 'create demo-2', 'create demo-3']);
});
