import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperationSpec, OperationStatus } from '@pgherd/api';
import { NOW } from '../testing/facts.ts';
import { testOperation } from '../testing/operations.ts';
import type { OperationObject } from './kind.ts';
import { line } from './line.ts';

function operation(
  name: string,
  created: string,
  status: OperationStatus,
  spec: Partial<OperationSpec> = {},
) {
  const made = testOperation({ type: 'Restart', ...spec }, status, name);
  return { ...made, metadata: { ...made.metadata, creationTimestamp: `2026-06-01T11:${created}:00Z` } };
}

const names = (operations: OperationObject[]) => operations.map(({ metadata }) => metadata.name);
const look = (...operations: OperationObject[]) =>
  line(operations, NOW, ({ spec }) => spec.type !== 'VerifyBackup');

test('the oldest goes first, the others wait for it by name', () => {
  const turn = look(operation('b', '02', {}), operation('a', '01', {}));
  assert.deepEqual(names(turn.running), ['a']);
  assert.deepEqual(
    turn.waiting.map((each) => [each.operation.metadata.name, each.behind.metadata.name]),
    [['b', 'a']],
  );
});

test('what has begun goes on, whatever is older', () => {
  assert.deepEqual(
    names(look(operation('a', '01', {}), operation('b', '02', { phase: 'Running' })).running),
    ['b'],
  );
});

test('what changes nothing waits for nobody', () => {
  const turn = look(operation('a', '01', {}), operation('b', '02', {}, { type: 'VerifyBackup' }));
  assert.deepEqual(names(turn.running), ['a', 'b']);
});

test('what has ended is kept for its time', () => {
  const ended: OperationStatus = { phase: 'Succeeded', finishedAt: '2026-06-01T11:50:00Z' };
  const turn = look(
    operation('short', '01', ended, { ttlSecondsAfterFinished: 60 }),
    operation('hour', '01', ended, { ttlSecondsAfterFinished: 3600 }),
    operation('week', '01', ended),
    operation('next', '02', {}),
  );
  assert.deepEqual(names(turn.expired), ['short']);
  assert.equal(turn.nextExpiryMs, 50 * 60_000);
  assert.deepEqual(names(turn.running), ['next']);
});
