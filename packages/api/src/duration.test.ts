import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, parseDuration } from './duration.ts';
import { ApiError } from './errors.ts';

const durations: [string, number][] = [
  ['0s', 0],
  ['500ms', 500],
  ['1.5s', 1500],
  ['5min', 300_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['2d', 172_800_000],
  ['1w', 604_800_000],
];

for (const [text, ms] of durations) {
  test(`${text} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
}

for (const text of ['', '5', 's', '-1s', '1 h', '1y', '1h30']) {
  test(`'${text}' is no duration`, () => {
    assert.throws(
      () => parseDuration(text),
      (error) => error instanceof ApiError && error.code === 'BadDuration',
    );
  });
}

const shown: [number, string][] = [
  [0, '0ms'],
  [340, '340ms'],
  [999.6, '1s'],
  [5_000, '5s'],
  [59_600, '1m'],
  [5_400_000, '1h30m'],
  [86_400_000 * 3 + 5_000, '3d'],
];

for (const [ms, text] of shown) {
  test(`${ms} ms are shown as ${text}`, () => assert.equal(formatDuration(ms), text));
}
