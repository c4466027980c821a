/** What people are shown of operations, and the Job of pgbench. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ClusterObject, OperationObject } from './kinds.ts';
import { progressText } from './operations.ts';
import { logIn, pgbenchJob } from './pgbench-job.ts';
import { howFar } from './progress-text.ts';
import { workflowRows } from './workflow.ts';

const operation = (status?: OperationObject['status']): OperationObject =>
  ({
    apiVersion: 'pgherd.io/v1',
    kind: 'Operation',
    metadata: { name: 'op', namespace: 'default', creationTimestamp: '2026-06-01T12:00:00Z' },
    spec: { cluster: 'demo', type: 'Switchover', switchover: { target: 'demo-2' } },
    ...(status ? { status } : {}),
  }) as OperationObject;

const running = operation({
  phase: 'Running',
  reason: 'Running',
  startedAt: '2026-06-01T12:00:01Z',
  message: 'demo-1 hands over',
  steps: [
    { name: 'check', state: 'Done', startedAt: '2026-06-01T12:00:01Z', finishedAt: '2026-06-01T12:00:02Z' },
    {
      name: 'hand over',
      state: 'Running',
      startedAt: '2026-06-01T12:00:02Z',
      message: 'demo-1 hands over',
      progress: { done: 1, total: 4, unit: 'files' },
    },
    { name: 'serve', state: 'Pending' },
  ],
});

test('progress names the step, its share and what it does', () => {
  const [now, later] = [Date.parse('2026-06-01T12:00:03Z'), Date.parse('2026-06-01T12:00:12Z')];
  assert.equal(progressText(running, now), 'hand over: demo-1 hands over: 1 of 4 files (25 %)');
  assert.match(progressText(running, later), /\(25 %\), about 30 s left$/);
  const counted = { done: 3 * 2 ** 20, total: 3 * 2 ** 20, unit: 'bytes' };
  assert.equal(howFar(counted, '2026-06-01T12:00:02Z', later), '3.0 MiB of 3.0 MiB (100 %)');
  assert.equal(progressText(operation()), 'the operator has not taken it up yet');
  assert.equal(
    progressText(operation({ phase: 'Pending', message: 'waits for Restart x to end' })),
    'waits for Restart x to end',
  );
});

test('a workflow shows what was asked, each step with its time, and what came of it', () => {
  assert.deepEqual(workflowRows(running, Date.parse('2026-06-01T12:00:03Z')), [
    ['workflowid', 'op'],
    ['pg-cluster', 'demo'],
    ['type', 'Switchover'],
    ['target', 'demo-2'],
    ['task submitted', '2026-06-01T12:00:00Z'],
    ['task started', '2026-06-01T12:00:01Z'],
    ['check', '2026-06-01T12:00:01Z  Done in 1.00 s'],
    ['hand over', '2026-06-01T12:00:02Z  Running: demo-1 hands over: 1 of 4 files (25 %)'],
    ['serve', '-  Pending'],
    ['phase', 'Running (Running)'],
    ['message', 'demo-1 hands over'],
  ]);
  const ended = operation({
    phase: 'Succeeded',
    finishedAt: '2026-06-01T12:00:03Z',
    result: { newPrimary: 'demo-2' },
  });
  assert.deepEqual(workflowRows(ended).slice(-3), [
    ['task completed', '2026-06-01T12:00:03Z'],
    ['phase', 'Succeeded'],
    ['newPrimary', 'demo-2'],
  ]);
});

test('pgbench gets its password by a file that libpq reads, whatever is in it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pgherd-pgbench-'));
  try {
    const [password, passfile] = [join(folder, 'password'), join(folder, 'pgpass')];
    writeFileSync(password, 'a:b\\c%s $d\'e"');
    execFileSync('sh', ['-c', logIn(password, passfile)]);
    assert.equal(readFileSync(passfile, 'utf8'), '*:*:*:*:a\\:b\\\\c%s $d\'e"\n');
    assert.equal(statSync(passfile).mode & 0o777, 0o600);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("pgbench is no instance of the cluster, and logs in with the application's secret over TLS", () => {
  const cluster = {
    metadata: { name: 'demo', namespace: 'default' },
    spec: { storage: { size: '1Gi' } },
  } as ClusterObject;
  const job = pgbenchJob(cluster, 'bench', ['-c', '16']);
  const { metadata, spec } = job.spec.template;
  assert.equal(metadata?.labels?.['pgherd.io/cluster'], undefined);
  const [container] = spec.containers;
  assert.match(container?.command?.[2] ?? '', / && exec pgbench "\$@"$/);
  assert.deepEqual(container?.command?.slice(3), ['pgbench', '-c', '16']);
  const value = (name: string) => container?.env?.find((each) => each.name === name);
  assert.equal(value('PGHOST')?.value, 'demo-rw');
  assert.equal(value('PGSSLMODE')?.value, 'verify-full');
  assert.equal(value('PGPASSWORD'), undefined);
  const login = spec.volumes?.find(({ name }) => name === 'login')?.secret;
  assert.deepEqual(login, { secretName: 'demo-app', items: [{ key: 'password', path: 'password' }] });
  assert.match(
    pgbenchJob(cluster, 'bench', []).spec.template.spec.containers[0]?.command?.join(' ') ?? '',
    /pgbench -i.*-T 30/,
  );
});
