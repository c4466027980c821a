import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median } from './measurement.ts';
import { cpuSeconds, residentBytes } from './process-stats.ts';

test('the median of an odd and an even number of values', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('a process that is gone costs nothing', () => {
  assert.ok(residentBytes(process.pid) > 10_000_000);
  assert.ok(cpuSeconds(process.pid) > 0);
  assert.equal(residentBytes(4_194_305), 0);
  assert.equal(cpuSeconds(4_194_305), 0);
});
