import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartBackoff } from './backoff.ts';

test('a crashing container rests 0, 10, 20, 40 ... 300 s, and again 0 after ten good minutes', () => {
  const backoff = new RestartBackoff();
  let now = 1_000_000_000_000;
  const rests: number[] = [];
  for (let crash = 0; crash < 8; crash++) {
    const until = backoff.until('c', now);
    rests.push(until === 0 ? 0 : (until - now) / 1000);
    backoff.restarted('c', now);
    now = Math.max(until, now) + 1000;
  }
  assert.deepEqual(rests, [0, 10, 20, 40, 80, 160, 300, 300]);
  assert.equal(backoff.until('c', now + 700_000), 0);
  assert.equal(backoff.until('another', now), 0);
});
