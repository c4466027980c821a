import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthyFacts, instance, testLease, testReport } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { planMarks } from './plan-marks.ts';

/** The cluster with instance N on node-N, these nodes cordoned, and marks on it. */
function facts(cordoned: string[], annotations: Record<string, string> = {}): Facts {
  const made = healthyFacts();
  for (const { pod, serial } of made.instances) pod!.spec.nodeName = `node-${serial}`;
  made.cordoned = new Set(cordoned);
  made.cluster.metadata.annotations = annotations;
  return made;
}

const marks = (from: Facts) =>
  planMarks(from).map((action) =>
    action.do === 'patch'
      ? (action.body as { metadata: { annotations: object } }).metadata.annotations
      : action,
  );

const wish = (id: string, from: string, to?: string) => ({
  'pgherd.io/switchover': JSON.stringify({ id, from, ...(to ? { to } : {}) }),
});

test('the primary leaves a cordoned node, to one that is not', () => {
  assert.deepEqual(marks(facts(['node-1', 'node-2'])), [wish('cordon-node-1-3', 'demo-1', 'demo-3')]);
});

test('nothing is wished for where only replicas are concerned, or nobody can take over', () => {
  assert.deepEqual(marks(facts(['node-2'])), []);
  assert.deepEqual(marks(facts(['node-1', 'node-2', 'node-3'])), []);
  const ill = facts(['node-1']);
  for (const name of ['demo-2', 'demo-3'])
    instance(ill, name).report = testReport(name, 'replica', { streaming: false });
  assert.deepEqual(marks(ill), []);
});

test('one try a leadership, and never over the wish of somebody else', () => {
  assert.deepEqual(marks(facts(['node-1'], wish('somebody', 'demo-1', 'demo-2'))), []);
  const tried = facts(['node-1']);
  instance(tried, 'demo-1').report = testReport('demo-1', 'primary', {
    switchover: { id: 'cordon-node-1-3', outcome: 'failed' },
  });
  assert.deepEqual(marks(tried), []);
});

test('a wish is taken away once another leads; leave to promote once the epoch has passed', () => {
  assert.deepEqual(marks(facts([], wish('a', 'demo-2', 'demo-1'))), [{ 'pgherd.io/switchover': null }]);
  assert.deepEqual(marks(facts([], wish('a', 'demo-1', 'demo-2'))), []);
  const nobody = facts([], wish('a', 'demo-2', 'demo-1'));
  nobody.lease = testLease(null, ['demo-1', 'demo-2']);
  assert.deepEqual(marks(nobody), []);
  const leave = (epoch: number) => ({
    'pgherd.io/promote': JSON.stringify({ id: 'a', to: 'demo-2', epoch }),
  });
  assert.deepEqual(marks(facts([], leave(2))), [{ 'pgherd.io/promote': null }]);
  assert.deepEqual(marks(facts([], leave(3))), []);
});
