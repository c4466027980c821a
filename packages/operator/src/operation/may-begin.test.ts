/** Operations that lay about while no operator was there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationStatus } from '@pgherd/api';
import { handlers } from './handlers.ts';
import type { OperationObject } from './kind.ts';
import { leftTooLong } from './may-begin.ts';

const ASKED = Date.parse('2026-06-01T12:00:00Z');

function left(
  type: 'Switchover' | 'Restore',
  workingAfterSeconds: number,
  status?: OperationStatus,
  deadlineSeconds?: number,
): string | undefined {
  const operation = {
    metadata: { name: 'op', namespace: 'ns', creationTimestamp: new Date(ASKED).toISOString() },
    spec: { cluster: 'demo', type, ...(deadlineSeconds ? { deadlineSeconds } : {}) },
    ...(status ? { status } : {}),
  } as OperationObject;
  return leftTooLong(operation, handlers[type]!, ASKED + workingAfterSeconds * 1000);
}

test('what was asked for long before the operator began is not begun any more', () => {
  assert.match(left('Switchover', 181) ?? '', /asked for at 2026-06-01T12:00:00.* more than 180 s later/);
  assert.match(left('Restore', 601) ?? '', /more than 600 s later: it is not done any more, ask again/);
  assert.match(left('Switchover', 21, undefined, 20) ?? '', /more than 20 s later/);
  assert.match(left('Switchover', 181, { phase: 'Pending' }) ?? '', /more than 180 s/);
});

test('what was asked for a moment before, or while the operator works, is begun', () => {
  assert.equal(left('Switchover', 179), undefined);
  assert.equal(left('Restore', 599), undefined);
  assert.equal(left('Switchover', -3600), undefined, 'it waits for its turn, however long');
  assert.equal(left('Switchover', Number.NaN), undefined);
});

test('what has begun is not judged by it: it has its own deadline', () => {
  assert.equal(left('Switchover', 3600, { phase: 'Running' }), undefined);
  assert.equal(left('Switchover', 3600, { phase: 'Succeeded' }), undefined);
});
