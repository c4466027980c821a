/** When the operator leaves a cluster alone because leadership moves. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthyFacts, instance, testLease, testReport } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { isLeftAlone, movingAt, stageOfMove } from './moving.ts';

const ALL = ['demo-1', 'demo-2', 'demo-3'];

function changed(change: (facts: Facts) => void): Facts {
  const facts = healthyFacts();
  change(facts);
  return facts;
}

const stages: [string, Facts, string | undefined][] = [
  ['a cluster at work', healthyFacts(), undefined],
  [
    'its primary prepares its stop, and serves',
    changed((facts) => {
      instance(facts, 'demo-1').report = testReport('demo-1', 'primary', { state: 'demoting' });
    }),
    undefined,
  ],
  [
    'its primary stops',
    changed((facts) => {
      instance(facts, 'demo-1').report = testReport('demo-1', 'primary', { state: 'demoting', ready: false });
    }),
    'stop in epoch 3',
  ],
  [
    'the Lease is handed over',
    changed((facts) => {
      const handover = { to: 'demo-2', position: '0/5000000', at: '' };
      facts.lease = { ...testLease(null, ALL), handover };
    }),
    'handed over in epoch 3',
  ],
  [
    'nobody leads, and nobody is named',
    changed((facts) => {
      facts.lease = testLease(null, ALL);
    }),
    undefined,
  ],
  [
    'the new leader is a replica yet',
    changed((facts) => {
      facts.lease = testLease('demo-2', ALL, { epoch: 4 });
    }),
    'promotion in epoch 4',
  ],
  [
    'the new leader is the primary',
    changed((facts) => {
      facts.lease = testLease('demo-2', ALL, { epoch: 4 });
      instance(facts, 'demo-2').report = testReport('demo-2', 'primary');
    }),
    undefined,
  ],
  [
    'a cluster that is being deleted',
    changed((facts) => {
      facts.lease = testLease('demo-2', ALL, { epoch: 4 });
      facts.cluster.metadata.deletionTimestamp = '2026-06-01T12:00:00Z';
    }),
    undefined,
  ],
];

for (const [what, facts, stage] of stages)
  test(`stage of a move: ${what}`, () => assert.equal(stageOfMove(facts), stage));

test('a cluster is left alone for a second in each stage', () => {
  const stopping = stages[2]![1];
  const handed = stages[3]![1];
  let moving = movingAt(100, stopping, undefined);
  assert.equal(isLeftAlone(moving, 100), true);
  moving = movingAt(900, stopping, moving);
  assert.equal(isLeftAlone(moving, 1_099), true);
  assert.equal(isLeftAlone(moving, 1_100), false);
  moving = movingAt(1_200, handed, moving);
  assert.equal(isLeftAlone(moving, 1_200), true);
  assert.equal(movingAt(1_300, healthyFacts(), moving), undefined);
  assert.equal(isLeftAlone(undefined, 1_300), false);
});
