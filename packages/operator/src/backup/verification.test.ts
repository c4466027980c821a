import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackupStatus, OperationStatus, ScheduledBackupStatus } from '@pgherd/api';
import { planVerification } from './verification.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const LABEL = '20260601-110000F';
const running: ScheduledBackupStatus = {
  lastBackup: 'b2',
  lastVerification: { backup: 'b1', label: LABEL, operation: 'b1-verify', phase: 'Running' },
};
const done: ScheduledBackupStatus = {
  lastBackup: 'b2',
  lastVerification: { backup: 'b1', phase: 'Succeeded', message: 'good' },
};

interface Case {
  what: string;
  status: ScheduledBackupStatus;
  wanted?: false;
  backup?: BackupStatus | 'gone';
  operation?: OperationStatus;
  phase: string | undefined;
  makes?: true;
  says?: RegExp;
}

const CASES: Case[] = [
  { what: 'no backup yet', status: {}, phase: undefined },
  { what: 'nobody wants it', status: { lastBackup: 'b1' }, wanted: false, phase: undefined },
  { what: 'the backup runs', status: { lastBackup: 'b1' }, backup: { phase: 'Running' }, phase: 'Waiting' },
  {
    what: 'the backup is there',
    status: { lastBackup: 'b1' },
    backup: { phase: 'Completed', label: LABEL },
    phase: 'Running',
    makes: true,
  },
  {
    what: 'the next one, after one that is proven',
    status: done,
    backup: { phase: 'Completed', label: LABEL },
    phase: 'Running',
    makes: true,
  },
  { what: 'the backup failed', status: { lastBackup: 'b1' }, backup: { phase: 'Failed' }, phase: 'Skipped' },
  { what: 'the backup is gone', status: { lastBackup: 'b1' }, backup: 'gone', phase: 'Skipped' },
  { what: 'it is being looked at', status: running, operation: { phase: 'Running' }, phase: 'Running' },
  { what: 'good', status: running, operation: { phase: 'Succeeded', message: 'fine' }, phase: 'Succeeded' },
  {
    what: 'not good, also when nobody wants to know any more',
    status: running,
    wanted: false,
    operation: { phase: 'Failed', message: 'base/5/1 is damaged' },
    phase: 'Failed',
    says: /base\/5\/1/,
  },
  { what: 'whoever looked is gone', status: running, phase: 'Failed', says: /gone/ },
];

for (const { what, status, wanted, backup, operation, phase, makes, says } of CASES)
  test(`a scheduled proof: ${what}`, () => {
    const step = planVerification({
      now: NOW,
      wanted: wanted ?? true,
      status,
      backup: backup === 'gone' ? undefined : { ...(backup ? { status: backup } : {}) },
      operation: operation && { status: operation },
    });
    assert.equal(step.verification?.phase, phase);
    assert.equal(step.make?.label, makes ? LABEL : undefined);
    if (says) assert.match(step.verification?.message ?? '', says);
  });
