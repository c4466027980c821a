import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthyFacts, instance, testReport } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { planInstances } from './plan-instances.ts';

/** A healthy cluster in which these run with a higher max_connections than the spec says. */
function raised(...names: string[]): Facts {
  const facts = healthyFacts();
  for (const name of names)
    instance(facts, name).report = testReport(name, name === 'demo-1' ? 'primary' : 'replica', {
      raisedSettings: ['max_connections'],
    });
  return facts;
}

function next(facts: Facts): string {
  const { actions, intent } = planInstances(facts);
  const waits = intent.what === 'rolling' ? (intent.waitsFor?.what ?? '') : intent.what;
  const [action] = actions;
  if (action?.do === 'patch') return JSON.stringify(action.body);
  return action?.do === 'delete' ? `delete ${action.name}` : waits;
}

test('the primary restarts in place first', () => {
  const annotations = {
    'pgherd.io/switchover': '{"id":"restart-3-1","from":"demo-1","to":"demo-1"}',
  };
  assert.equal(next(raised('demo-1', 'demo-2', 'demo-3')), JSON.stringify({ metadata: { annotations } }));
});

test('it is asked once, and a failure is said', () => {
  const facts = raised('demo-1');
  facts.cluster.metadata.annotations = { 'pgherd.io/switchover': '{"id":"x","from":"demo-1"}' };
  assert.match(next(facts), /demo-1 to restart in place for lower max_connections/);
  delete facts.cluster.metadata.annotations;
  instance(facts, 'demo-1').report = testReport('demo-1', 'primary', {
    raisedSettings: ['max_connections'],
    switchover: { id: 'restart-3-1', outcome: 'failed', why: 'it was stopped' },
  });
  assert.match(next(facts), /which failed: it was stopped/);
});

test('then the replicas, one at a time, each when the last is well', () => {
  assert.equal(next(raised('demo-2', 'demo-3')), 'delete demo-3');
  const facts = raised('demo-2');
  instance(facts, 'demo-3').report = testReport('demo-3', 'replica', { streaming: false });
  assert.equal(next(facts), 'demo-3 to be healthy');
});

test('nothing is done where nothing is too high', () => {
  assert.equal(next(raised()), 'steady');
});
