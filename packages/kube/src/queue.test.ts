import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createQueue, silent } from './index.ts';
import { until } from './testing/until.ts';

let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

test('a key added many times runs once; one added while it runs runs once more', async () => {
  const ran: string[] = [];
  let release = () => {};
  const queue = createQueue({
    name: 'test',
    reconcile: async (key) => {
      ran.push(key);
      if (ran.length === 1) await new Promise<void>((resolve) => (release = resolve));
    },
  });
  for (let n = 0; n < 5; n++) queue.add('a');
  queue.start(stop.signal);
  await until('it runs', () => ran.length === 1);
  queue.add('a');
  queue.add('a');
  assert.deepEqual(ran, ['a']);
  release();
  await queue.idle();
  assert.deepEqual(ran, ['a', 'a']);
});

test('as many at once as allowed, never one key twice', async () => {
  const running = new Set<string>();
  let most = 0;
  const queue = createQueue({
    name: 'test',
    concurrency: 3,
    reconcile: async (key) => {
      assert.ok(!running.has(key));
      running.add(key);
      most = Math.max(most, running.size);
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(key);
    },
  });
  queue.start(stop.signal);
  for (let n = 0; n < 100; n++) queue.add(`k${n % 10}`);
  await queue.idle();
  assert.equal(most, 3);
});

test('a failure is tried again with growing waits, and forgotten after a success', async () => {
  let runs = 0;
  const failures: number[] = [];
  const waits: number[] = [];
  const queue = createQueue({
    name: 'test',
    minBackoffMs: 4,
    maxBackoffMs: 32,
    log: { ...silent, warn: (fields) => waits.push((fields as { waitMs: number }).waitMs) },
    reconcile: async () => {
      runs++;
      if (runs !== 5) throw new Error('no');
    },
    onError: (_key, _error, n) => failures.push(n),
  });
  queue.start(stop.signal);
  queue.add('a');
  await until('it succeeded', () => runs === 5);
  assert.deepEqual(failures, [1, 2, 3, 4]);
  // Each is a quarter shorter or longer at random, and twice the one before.
  assert.ok(waits[2]! > waits[0]! && waits[3]! > waits[1]!, String(waits));
  queue.add('a');
  await until('it failed again', () => failures.length >= 5);
  assert.equal(failures[4], 1);
});

test('the earliest of several times wins, and an add is earlier still', async () => {
  let ran = 0;
  const queue = createQueue({
    name: 'test',
    reconcile: async () => {
      ran++;
      return ran === 1 ? { afterMs: 60_000 } : undefined;
    },
  });
  queue.start(stop.signal);
  queue.addAfter('a', 60_000);
  queue.addAfter('a', 10);
  queue.addAfter('a', 60_000);
  await until('it ran', () => ran === 1);
  queue.add('a');
  await until('it ran again', () => ran === 2);
});

test('nothing starts after the end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let ran = 0;
  const queue = createQueue({ name: 'test', reconcile: async () => void ran++ });
  queue.start(stop.signal);
  queue.addAfter('a', 5);
  stop.abort();
  queue.add('b');
  await queue.idle();
  t.mock.timers.tick(60_000);
  assert.equal(ran, 0);
});
