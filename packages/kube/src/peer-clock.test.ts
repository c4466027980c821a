import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, kinds, PeerClock } from './index.ts';
import { ApiServer } from './testing/api-server.ts';

const HOUR = 3_600_000;

test('a clock that differs is known by its Date headers; jitter is no difference', () => {
  const NOW = 1_800_000_000_000;
  const date = (ms: number) => new Date(NOW + ms).toUTCString();
  const cases: [name: string, heard: [ms: number, tookMs: number][], ahead: number][] = [
    ['never heard of', [], 0],
    ['the same', [[0, 5]], 0],
    ['a slow answer of the same clock', [[-2_000, 1_900]], 0],
    ['an hour ahead', [[HOUR, 5]], HOUR],
    ['an hour behind', [[-HOUR, 5]], -HOUR],
    [
      'jitter does not move it',
      [
        [HOUR, 5],
        [HOUR + 1_000, 5],
        [HOUR - 2_000, 1_500],
      ],
      HOUR,
    ],
    [
      'it was set right',
      [
        [HOUR, 5],
        [1_000, 5],
      ],
      0,
    ],
    ['an answer that was under way for long says nothing', [[-60_000, 60_000]], 0],
  ];
  for (const [name, heard, ahead] of cases) {
    const clock = new PeerClock(() => NOW);
    for (const [ms, took] of heard) clock.hear(date(ms), took);
    assert.equal(clock.aheadMs, ahead, name);
    assert.equal(clock.now(), NOW + ahead, name);
  }
  const clock = new PeerClock();
  clock.hear(undefined, 1);
  clock.hear('yesterday', 1);
  assert.equal(clock.aheadMs, 0);
});

test('the client knows the clock of its API server', async () => {
  const api = new ApiServer();
  await api.start();
  const client = new Client({ server: api.url });
  await client.list(kinds.Pod);
  assert.ok(Math.abs(client.clock.now() - Date.now()) < 1_000);
  api.faults = [
    { match: 'GET', times: 1, status: 404, headers: { date: new Date(Date.now() + HOUR).toUTCString() } },
  ];
  await client.find(kinds.Pod, { namespace: 'a', name: 'b' });
  assert.ok(Math.abs(client.clock.now() - Date.now() - HOUR) < 3_000);
  client.close();
  await api.stop();
});
