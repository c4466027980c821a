import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupInfo, BackupStatus } from '@pgherd/api';
import { forgettable, KEPT_BACKUPS } from './history.ts';
import type { BackupObject } from './kind.ts';

const NUMBERS = new Map([['local', 1]]);
const made = (day: number, status: BackupStatus): BackupObject =>
  ({
    metadata: { name: `b${day}`, creationTimestamp: new Date(Date.UTC(2026, 0, day)).toISOString() },
    spec: { cluster: { name: 'demo' } },
    status: { repository: 'local', label: `L${day}`, ...status },
  }) as unknown as BackupObject;
const NEWER = Array.from({ length: KEPT_BACKUPS }, (_, n) => made(100 + n, { phase: 'Failed' }));
const OLD = [
  made(1, { phase: 'Completed' }),
  made(2, { phase: 'Completed' }),
  made(3, { phase: 'Failed' }),
  made(4, { phase: 'Completed', repository: 'gone' }),
  made(5, { phase: 'Running' }),
];
const info = (code = 0) =>
  ({
    backups: [{ label: 'L2', repository: 1 }],
    repositories: [{ number: 1, status: { code, message: 'x' } }],
  }) as unknown as BackupInfo;
const names = (objects: BackupObject[]) => objects.map(({ metadata }) => metadata.name).sort();

test('what failed, and what the repository holds no more, is forgotten; the newest ones are not', () => {
  assert.deepEqual(names(forgettable([...OLD, ...NEWER], info(), NUMBERS)), ['b1', 'b3']);
  assert.deepEqual(names(forgettable(OLD, info(), NUMBERS)), []);
});

test('while it is not known what a repository holds, no backup is taken for gone', () => {
  for (const known of [undefined, info(99)])
    assert.deepEqual(names(forgettable([...OLD, ...NEWER], known, NUMBERS)), ['b3']);
});
