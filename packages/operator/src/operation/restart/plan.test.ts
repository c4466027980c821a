/** Who is restarted next, from each state a restart can be found in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Facts } from '../../cluster/facts.ts';
import { healthyFacts, instance, testReport } from '../../testing/facts.ts';
import { baseFacts } from '../../testing/operations.ts';
import { planRestart } from './plan.ts';

const ALL = JSON.stringify({ 'demo-1': 'uid-demo-1', 'demo-2': 'uid-demo-2', 'demo-3': 'uid-demo-3' });
const plan = (facts: Facts, pods?: string, one?: string) =>
  planRestart(
    baseFacts(facts, { type: 'Restart', restart: one ? { instance: one } : {} }, pods ? { pods } : {}),
  );

/** Whose pod the plan deletes, and at which step. */
function next(facts: Facts, pods?: string, one?: string): string {
  const outcome = plan(facts, pods, one);
  if (outcome.next !== 'step') return `${outcome.next}: ${outcome.message}`;
  const [action] = outcome.actions ?? [];
  return `${outcome.step}: ${action?.do === 'delete' ? action.name : outcome.message}`;
}

function renewed(...names: string[]): Facts {
  const facts = healthyFacts();
  for (const name of names) instance(facts, name).pod!.metadata.uid = `new-${name}`;
  if (names.includes('demo-1')) facts.lease!.leader!.podUID = 'new-demo-1';
  return facts;
}

function starting(facts: Facts, name: string): Facts {
  instance(facts, name).report = testReport(name, 'replica', { streaming: false });
  return facts;
}

test('the pods are noted before the first goes', () => {
  const outcome = plan(healthyFacts());
  assert.deepEqual(outcome.notes, { pods: ALL });
  assert.equal(outcome.next === 'step' && outcome.actions, undefined);
});

const cases: [string, Facts, string | undefined, string][] = [
  ['the last replica first', renewed(), undefined, 'restart the replicas: demo-3'],
  ['then the other', renewed('demo-3'), undefined, 'restart the replicas: demo-2'],
  [
    'not before the first streams again',
    starting(renewed('demo-3'), 'demo-3'),
    undefined,
    'restart the replicas: waits for demo-3: it does not stream from demo-1',
  ],
  ['the primary last', renewed('demo-3', 'demo-2'), undefined, 'restart the primary: demo-1'],
  [
    'nobody is stopped while another is ill',
    starting(renewed(), 'demo-2'),
    undefined,
    'restart the replicas: waits for demo-2: it does not stream from demo-1',
  ],
  [
    'one by name, although another is ill',
    starting(renewed(), 'demo-2'),
    'demo-3',
    'restart the replicas: demo-3',
  ],
  ['the primary by name', renewed(), 'demo-1', 'restart the primary: demo-1'],
];

for (const [what, facts, one, expected] of cases)
  test(what, () => {
    const pods = one ? JSON.stringify({ [one]: `uid-${one}` }) : ALL;
    assert.equal(next(facts, pods, one), expected);
  });

test('done when all are new and well', () => {
  const outcome = plan(renewed('demo-1', 'demo-2', 'demo-3'), ALL);
  assert.equal(outcome.next, 'succeed');
  assert.deepEqual(outcome.result, { restarted: 'demo-1, demo-2, demo-3', primary: 'demo-1' });
});

test('an unknown instance is refused with the names there are', () => {
  const outcome = plan(healthyFacts(), undefined, 'demo-9');
  assert.match(outcome.message, /no instance demo-9 that runs; there are: demo-1, demo-2, demo-3/);
  assert.equal(outcome.next, 'fail');
});
