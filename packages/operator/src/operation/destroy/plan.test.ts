/** What may be removed, and how a removal goes on from each state it can be found in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts } from '../../cluster/facts.ts';
import { planInstances } from '../../cluster/plan-instances.ts';
import { healthyFacts, instance, testLease, testReport } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { planDestroy } from './plan.ts';

const plan = (facts: Facts, name: string, marked = false, keepVolumes = false) =>
  planDestroy(
    baseFacts(
      facts,
      { type: 'Destroy', destroy: { instance: name, keepVolumes } },
      marked ? { marked: 'true' } : {},
    ),
  );

/** As after the marks were written. */
function marked(counted: boolean): Facts {
  const facts = healthyFacts();
  const { metadata } = instance(facts, 'demo-3').pod!;
  metadata.annotations = {
    ...metadata.annotations,
    'pgherd.io/destroy': 'uid-op',
    'pgherd.io/leaving': '2026-06-01T11:59:59Z',
  };
  Object.assign(instance(facts, 'demo-3').data!.metadata.annotations!, { 'pgherd.io/destroy': 'uid-op' });
  facts.lease = testLease('demo-1', counted ? ['demo-1', 'demo-2', 'demo-3'] : ['demo-1', 'demo-2']);
  return facts;
}

test('the primary is never removed', () => {
  const outcome = plan(healthyFacts(), 'demo-1');
  assert.equal(outcome.next === 'fail' && outcome.reason, 'IsPrimary');
  assert.match(outcome.message, /pgherd switchover demo/);
});

test('an unknown instance is refused', () => {
  const outcome = plan(healthyFacts(), 'demo-9');
  assert.equal(outcome.next === 'fail' && outcome.reason, 'InstanceUnknown');
});

test('nobody is removed while no primary serves: it may be the last copy', () => {
  const facts = healthyFacts();
  instance(facts, 'demo-1').report = testReport('demo-1', 'replica', { state: 'stopped' });
  const outcome = plan(facts, 'demo-3');
  assert.equal(outcome.next === 'fail' && outcome.reason, 'LastCopy');
});

test('volumes are marked before the pod, and only once', () => {
  const outcome = plan(healthyFacts(), 'demo-3', false, true);
  assert.deepEqual(
    outcome.actions?.map((action) => action.do === 'patch' && `${action.kind.kind} ${action.name}`),
    ['PersistentVolumeClaim demo-3', 'Pod demo-3'],
  );
  assert.deepEqual(plan(marked(true), 'demo-3', true).actions, []);
});

test('who became the primary meanwhile stays', () => {
  const facts = marked(true);
  facts.lease = testLease('demo-3', ['demo-1', 'demo-2', 'demo-3']);
  const outcome = plan(facts, 'demo-3', true);
  assert.equal(outcome.next, 'fail');
  assert.equal(outcome.actions?.length, 2, 'the marks are taken back');
});

test('it is waited for until a new one streams', () => {
  const facts = healthyFacts();
  facts.instances = facts.instances.filter(({ name }) => name !== 'demo-3');
  facts.lease = testLease('demo-1', ['demo-1', 'demo-2']);
  const waiting = plan(facts, 'demo-3', true);
  assert.equal(waiting.next === 'step' && waiting.step, 'a new instance streams');
  facts.spec.instances = 2;
  assert.equal(plan(facts, 'demo-3', true).next, 'succeed');
});

const actions = (facts: Facts) =>
  planInstances(facts).actions.map((action) =>
    action.do === 'createInstance'
      ? `create ${action.name}`
      : action.do === 'patch' || action.do === 'delete'
        ? `${action.do} ${action.kind.kind} ${action.name}`
        : action.do,
  );

test('the cluster lets it go although its number is wanted, and makes another at once', () => {
  assert.deepEqual(actions(marked(true)), ['create demo-4']);
  assert.deepEqual(actions(marked(false)), ['create demo-4', 'delete Pod demo-3']);
});

test('its volume goes after its pod, or is let go where it is to be kept', () => {
  const facts = marked(false);
  delete instance(facts, 'demo-3').pod;
  assert.deepEqual(actions(facts), ['create demo-4', 'delete PersistentVolumeClaim demo-3']);
  instance(facts, 'demo-3').data!.metadata.annotations!['pgherd.io/keep'] = 'uid-op';
  assert.deepEqual(actions(facts), ['create demo-4', 'patch PersistentVolumeClaim demo-3']);
});
