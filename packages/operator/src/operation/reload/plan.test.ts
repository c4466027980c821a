import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts } from '../../cluster/facts.ts';
import { healthyFacts, instance, testReport } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { planReload } from './plan.ts';

const plan = (facts: Facts) => planReload(baseFacts(facts, { type: 'Reload' }));

/** Asked; these say that they did it, with what PostgreSQL refused, if anything. */
function asked(done: Record<string, string | undefined>, more: object = {}): Facts {
  const facts = healthyFacts();
  facts.cluster.metadata.annotations = { 'pgherd.io/reload': 'uid-op' };
  for (const [name, why] of Object.entries(done))
    instance(facts, name).report = testReport(name, name === 'demo-1' ? 'primary' : 'replica', {
      reload: { id: 'uid-op', ...(why ? { why } : {}) },
      ...more,
    });
  return facts;
}

const all = { 'demo-1': undefined, 'demo-2': undefined, 'demo-3': undefined };

test('the instances are asked by a mark on the Cluster', () => {
  const outcome = plan(healthyFacts());
  const [action] = outcome.actions ?? [];
  assert.deepEqual(action?.do === 'patch' && action.body, {
    metadata: { annotations: { 'pgherd.io/reload': 'uid-op' } },
  });
});

test('each has to say that it did it', () => {
  const outcome = plan(asked({ 'demo-1': undefined, 'demo-3': undefined }));
  assert.equal(outcome.next === 'step' && outcome.step, 'instances reload');
  assert.match(outcome.message, /waits for demo-2/);
  assert.equal(plan(asked(all)).next, 'succeed');
});

test('what PostgreSQL refuses is the reason of the failure', () => {
  const outcome = plan(asked({ ...all, 'demo-2': 'work_mem = much: invalid value' }));
  assert.equal(outcome.next === 'fail' && outcome.reason, 'SettingsRefused');
  assert.match(outcome.message, /demo-2: work_mem = much/);
});

test('what only a restart brings is said', () => {
  assert.match(
    plan(asked(all, { pendingRestart: true })).message,
    /needs a restart of demo-1, demo-2, demo-3/,
  );
});
