import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHistory } from './timeline.ts';

test('a history file names every ancestor and where it ended', () => {
  const text =
    '1\t0/3000148\tno recovery target specified\n\n# a comment\n2\t1/A0\tbefore 2000-01-01\nnonsense\n';
  assert.deepEqual(parseHistory(text), [
    { timeline: 1, end: '0/3000148', reason: 'no recovery target specified' },
    { timeline: 2, end: '1/A0', reason: 'before 2000-01-01' },
  ]);
  assert.deepEqual(parseHistory(''), []);
});
