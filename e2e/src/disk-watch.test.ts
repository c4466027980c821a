import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
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

test('it writes until it is ended', async (t) => {
  const folder = testFolder();
  const file = join(folder, 'disk-watch');
  const watch = new DiskWatch(folder);
  t.after(() => watch.end());
  await until('a block', () => existsSync(file) && statSync(file).size > 0, 10_000);
  await watch.end();
  assert.equal(watch.stalledMs(0, 1), 0);
});
