import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ack, History } from './history.ts';
import { DESTROYING, episodes, kindsFor } from './plan.ts';

function ack(id: number, sentAt: number, timeline = 1): Ack {
  return { client: 'w', id, sentAt, ackAt: sentAt + 5, timeline };
}

test('an old primary that acknowledges after a new one has is found', () => {
  const history = new History();
  history.acknowledge(ack(1, 100));
  history.acknowledge(ack(2, 200, 2));
  // Sent before the new one had acknowledged anything: a late answer.
  history.acknowledge({ ...ack(3, 195), ackAt: 300 });
  assert.equal(history.overlaps.length, 0);
  history.acknowledge(ack(4, 310, 1));
  assert.deepEqual(
    history.overlaps.map(({ old, newer }) => [old.id, newer.id]),
    [[4, 2]],
  );
});

test('a read that lacks what was acknowledged before it is stale', () => {
  const history = new History();
  history.acknowledge(ack(1, 100));
  history.acknowledge(ack(2, 200));
  history.read({ client: 'w', sentAt: 150, gotAt: 151, highest: 1 });
  history.read({ client: 'w', sentAt: 204, gotAt: 206, highest: 1 });
  assert.equal(history.stale.length, 0);
  history.read({ client: 'w', sentAt: 1205, gotAt: 1206, highest: 1 });
  assert.deepEqual(
    history.stale.map(({ found, acknowledged, byMs }) => [found, acknowledged, byMs]),
    [[1, 2, 1000]],
  );
});

test('what has been told to be lost is not looked for again', () => {
  const history = new History();
  history.acknowledge(ack(1, 100));
  history.acknowledge(ack(2, 200));
  history.forget('w', [2]);
  assert.deepEqual(history.acknowledgedBy('w'), [1]);
  history.read({ client: 'w', sentAt: 900, gotAt: 901, highest: 1 });
  assert.equal(history.stale.length, 0);
});

test('a seed gives the same episodes again, and data are taken once an episode at most', () => {
  const take = (seed: number) => {
    const plan = episodes(seed, kindsFor({ mode: 'sync', disks: true, backups: true }));
    return Array.from({ length: 50 }, () => plan.next().value);
  };
  assert.deepEqual(take(5), take(5));
  assert.notDeepEqual(take(5), take(6));
  for (const { faults } of take(7))
    assert.ok(faults.filter(({ kind }) => DESTROYING.some((each) => each === kind)).length <= 1);
});
