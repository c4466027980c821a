import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ANNOTATION_HIBERNATION,
  ANNOTATION_RESTORE,
  type ArchiveReport,
  type BackupSetInfo,
  type BackupStatus,
} from '@pgherd/api';
import type { Facts } from '../cluster/facts.ts';
import { healthyFacts, NOW } from '../testing/facts.ts';
import type { BackupObject } from './kind.ts';
import { type BackupLook, type ExecutorFacts, PATIENCE_MS, planBackup } from './plan.ts';

const key = (name: string) => ({ name: 'store', key: name });
const SPEC = {
  backup: {
    repositories: [
      { name: 'local', volume: { size: '1Gi' } },
      { name: 'far', azure: { account: 'a', container: 'c', credentials: { key: key('k') } } },
    ],
  },
};
const READY: ArchiveReport = { active: true, waiting: 0, repositories: ['local', 'far'] };

function clusterWith(archive: ArchiveReport | undefined = READY, spec: object = SPEC): Facts {
  const facts = healthyFacts(spec);
  for (const instance of facts.instances)
    if (instance.report?.role === 'primary' && archive) instance.report = { ...instance.report, archive };
  return facts;
}

function backup(spec: object = {}, status?: BackupStatus, ageMs = 1000): BackupObject {
  return {
    apiVersion: 'pgherd.io/v1',
    kind: 'Backup',
    metadata: {
      name: 'b',
      namespace: 'default',
      uid: 'uid-b',
      creationTimestamp: new Date(NOW - ageMs).toISOString(),
    },
    spec: { cluster: { name: 'demo' }, ...spec },
    ...(status ? { status } : {}),
  } as BackupObject;
}

const RUNNING: BackupStatus = {
  phase: 'Running',
  startedAt: new Date(NOW - 5000).toISOString(),
  repository: 'local',
  stanza: 'demo-1',
  instance: 'demo-3',
  primary: 'demo-1',
  executor: 'repository',
  process: 'boot-1',
};

const SET: BackupSetInfo = {
  label: '20260601-115955F',
  type: 'full',
  repository: 1,
  startedAt: NOW - 5000,
  stoppedAt: NOW - 1000,
  wal: { start: '1', stop: '2' },
  lsn: { start: '0/1', stop: '0/2' },
  references: [],
  sizes: { database: 100, copied: 90, repository: 20, added: 10 },
  annotations: {},
  damaged: false,
  database: 1,
};

const running = (executor: ExecutorFacts, more: Partial<BackupLook> = {}, status: BackupStatus = RUNNING) =>
  planBackup({ now: NOW, backup: backup({}, status), cluster: clusterWith(), executor, ...more });
const pending = (spec: object, cluster: Facts | undefined, more: Partial<BackupLook> = {}, ageMs?: number) =>
  planBackup({ now: NOW, backup: backup(spec, undefined, ageMs), cluster, ...more });
const job = { id: 'uid-b', startedAt: NOW };

test('a backup into a volume runs in the repository pod, from a replica', () => {
  const step = pending({ type: 'full' }, clusterWith());
  assert.ok(step.do === 'ask');
  assert.deepEqual(step.executor, { kind: 'repository' });
  const { primary, standby, repository, type, id } = step.request;
  assert.deepEqual([primary, standby, repository, type, id], ['demo-1', 'demo-3', 1, 'full', 'uid-b']);
  assert.equal(step.status.phase, 'Running');
  assert.equal(step.status.instance, 'demo-3');
});

test('a backup into an object store runs beside the instance that is copied', () => {
  const step = pending({ repository: 'far' }, clusterWith());
  assert.ok(step.do === 'ask');
  assert.deepEqual(step.executor, { kind: 'instance', name: 'demo-3' });
  assert.equal(step.request.repository, 2);
});

test('without a replica that streams, or on request, the primary is copied', () => {
  const lonely = clusterWith();
  for (const instance of lonely.instances)
    if (instance.report?.role === 'replica') instance.report = { ...instance.report, streaming: false };
  for (const step of [pending({}, lonely), pending({ target: 'primary' }, clusterWith())]) {
    assert.ok(step.do === 'ask');
    assert.equal(step.request.standby, undefined);
    assert.equal(step.status.instance, 'demo-1');
  }
});

const refused: [string, object, Facts | undefined, RegExp, number?][] = [
  ['no cluster', {}, undefined, /no cluster demo in namespace default/, 20_000],
  ['no backups set up', {}, clusterWith(undefined, {}), /no spec\.backup/],
  ['no such repository', { repository: 'x' }, clusterWith(), /no repository x; it has: local, far/],
  [
    'a repository that never comes',
    {},
    clusterWith({ active: true, waiting: 0, problems: { local: 'boom' } }),
    /after 10 minutes: repository local is not ready: boom/,
    PATIENCE_MS + 1,
  ],
];
for (const [what, spec, cluster, says, ageMs] of refused) {
  test(`fails at once: ${what}`, () => {
    const step = pending(spec, cluster, {}, ageMs);
    assert.equal(step.do, 'end');
    assert.equal(step.status.phase, 'Failed');
    assert.match(step.status.error ?? '', says);
  });
}

test('a cluster that sleeps is not waited for', () => {
  const asleep = clusterWith();
  asleep.cluster.metadata.annotations = { [ANNOTATION_HIBERNATION]: 'on' };
  const step = pending({}, asleep);
  assert.equal(step.do, 'end');
  assert.match(step.status.error ?? '', /cluster demo hibernates: wake it first/);
});

const restoring = clusterWith();
restoring.lease = { ...restoring.lease!, holder: null };
restoring.cluster = {
  ...restoring.cluster,
  metadata: {
    ...restoring.cluster.metadata,
    annotations: { [ANNOTATION_RESTORE]: JSON.stringify({ id: 'r', operation: 'back-to-noon', source: {} }) },
  },
  status: {
    ...restoring.cluster.status,
    restoration: { id: 'r', stage: 'stopping', instance: 'demo-4', source: '{}', old: ['demo-1', 'demo-2'] },
  },
};
const waits: [string, Facts | undefined, Partial<BackupLook>, RegExp][] = [
  ['its cluster, which may come in the same file', undefined, {}, /no cluster demo yet/],
  ['another backup', clusterWith(), { behind: 'a' }, /waits for Backup a to end/],
  ['a restore in place', restoring, {}, /Operation back-to-noon restores the cluster in place/],
  ['the repository', clusterWith({ active: true, waiting: 0 }), {}, /repository local is not ready/],
];
for (const [what, cluster, more, says] of waits) {
  test(`waits for ${what}`, () => {
    const step = pending({}, cluster, more);
    assert.equal(step.do, 'wait');
    assert.equal(step.status.phase, 'Pending');
    assert.match(step.status.message ?? '', says);
  });
}

test('what it waited for another backup is not held against it', () => {
  const notReady = clusterWith({ active: true, waiting: 0 });
  const turn = (ms: number) => pending({}, notReady, { turnSince: NOW - ms }, 2 * PATIENCE_MS);
  assert.equal(turn(1_000).do, 'wait');
  assert.equal(turn(PATIENCE_MS + 1).do, 'end');
});

test('a backup with damaged pages is complete, and says where they are', () => {
  const damage = ['invalid page checksum found in file /pgdata/base/5/16384 at page 1'];
  const set = { ...SET, damaged: true };
  const step = running({ boot: 'boot-1', job: { ...job, phase: 'done', set, damage } });
  assert.ok(step.do === 'end' && step.damaged);
  assert.equal(step.status.phase, 'Completed');
  assert.match(step.status.message ?? '', /pages of the database are damaged: .*base\/5\/16384 at page 1/);
});

test('a backup that runs shows how far it is', () => {
  const progress = { done: 3, total: 9 };
  const step = running({ boot: 'boot-1', job: { ...job, phase: 'running', progress } });
  assert.equal(step.do, 'wait');
  assert.deepEqual(step.status.progress, progress);
});

test('what came of it is in the status', () => {
  for (const step of [
    running({ boot: 'boot-1', job: { ...job, phase: 'done', set: SET } }),
    // Its process is gone, but the repository has it.
    running({ boot: 'boot-2' }, { found: SET }),
  ]) {
    assert.equal(step.do, 'end');
    const { phase, label, type, beginWal, endLSN, copiedSize, repositoryDelta } = step.status;
    assert.deepEqual(
      [phase, label, type, beginWal, endLSN, copiedSize, repositoryDelta],
      ['Completed', SET.label, 'full', '1', '0/2', 90, 10],
    );
  }
});

test('asked again when the operator was stopped before it could ask', () => {
  const { process: _, ...status } = RUNNING;
  const step = running({ boot: 'boot-1' }, {}, status);
  assert.ok(step.do === 'ask');
  assert.equal(step.request.standby, 'demo-3');
});

const moved = clusterWith();
moved.lease = { ...moved.lease!, leader: { ...moved.lease!.leader!, name: 'demo-2', podUID: 'uid-demo-2' } };
const silenced = clusterWith();
delete silenced.instances.find(({ name }) => name === 'demo-3')!.report;
const failures: [string, ExecutorFacts, Partial<BackupLook>, RegExp][] = [
  [
    'pgBackRest',
    { boot: 'boot-1', job: { ...job, phase: 'failed', error: '[082]: no WAL' } },
    {},
    /\[082\]: no WAL/,
  ],
  [
    'the end of what is copied',
    { boot: 'boot-1', job: { ...job, phase: 'failed', error: '[039]: broken' } },
    { cluster: silenced },
    /\[039\]: broken; demo-3, which was copied, does not answer/,
  ],
  ['its process', { boot: 'boot-2' }, {}, /the process that ran it has ended/],
  ['its pod', { silent: { why: 'no answer', since: NOW - 61_000 } }, {}, /not answered for 61 s: no answer/],
  [
    'a failover',
    { boot: 'boot-1', job: { ...job, phase: 'running' } },
    { cluster: moved },
    /demo-2 became primary in place of demo-1/,
  ],
  [
    'a restore in place',
    { boot: 'boot-1', job: { ...job, phase: 'failed', error: '[057]: terminating connection' } },
    { cluster: restoring },
    /^Operation back-to-noon restores the cluster in place, which ended the backup/,
  ],
];
for (const [what, executor, more, says] of failures) {
  test(`ended by ${what}`, () => {
    const step = running(executor, more);
    assert.equal(step.do, 'end');
    assert.equal(step.status.phase, 'Failed');
    assert.match(step.status.error ?? '', says);
    assert.ok(step.status.stoppedAt);
  });
}

test('a pod that is silent for a moment is waited for', () => {
  assert.equal(running({ silent: { why: 'no answer', since: NOW - 5_000 } }).do, 'wait');
});
