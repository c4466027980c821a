import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationObject } from './kind.ts';
import { advanced, started } from './progress.ts';

const operation = { metadata: { name: 'o', namespace: 'n', generation: 1 } } as OperationObject;
const steps = ['check', 'stop'];

test('a first look that takes its time is said before it, and ends as its step', () => {
  const begun = started(operation, { steps, begins: 'asks the repository' }, 1_000);
  assert.equal(begun.message, 'asks the repository');
  assert.deepEqual(begun.steps, [
    {
      name: 'check',
      state: 'Running',
      startedAt: '1970-01-01T00:00:01.000Z',
      message: 'asks the repository',
    },
    { name: 'stop', state: 'Pending' },
  ]);
  const outcome = { next: 'step', step: 'stop', message: 'waits for a-2 to stop' } as const;
  const [check, stop] = advanced({ ...operation, status: begun }, outcome, 3_000).steps ?? [];
  assert.equal(check?.state, 'Done');
  assert.equal(check?.startedAt, '1970-01-01T00:00:01.000Z');
  assert.equal(check?.finishedAt, '1970-01-01T00:00:03.000Z');
  assert.equal(stop?.state, 'Running');
});

test('of any other, every step stands before it', () => {
  assert.deepEqual(started(operation, { steps }, 1_000).steps, [
    { name: 'check', state: 'Pending' },
    { name: 'stop', state: 'Pending' },
  ]);
});
