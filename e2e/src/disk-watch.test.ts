import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testFolder, until } from '@pgherd/postgres/testing';
import { DiskWatch, stalledMs } from './disk-watch.ts';

test('what of a time lies in stalls', () => {
  const stalls = [
    { from: 100, to: 300 },
    { from: 500, to: 900 },
  ];
  const cases: [from: number, to: number, ms: number][] = [
    [0, 50, 0],
    [0, 1000, 600],
    [200, 600, 200],
    [600, 700, 100],
    [300, 500, 0],
  ];
  for (const [from, to, ms] of cases) assert.equal(stalledMs(stalls, from, to), ms, `${from} to ${to}`);
});

test('it writes until it is ended', async () => {
  const folder = testFolder();
  const watch = new DiskWatch(folder);
  await until('a block', () => readFileSync(join(folder, 'disk-watch')).length > 0, 10_000);
  await watch.end();
  assert.equal(watch.stalledMs(0, 1), 0);
});
