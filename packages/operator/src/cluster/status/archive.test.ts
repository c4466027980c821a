import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ArchiveReport } from '@pgherd/api';
import { healthyFacts, instance, NOW } from '../../testing/facts.ts';
import { planRepository } from '../plan-repository.ts';
import { archiveEvent, archiveState, backlogLimit, backupStatus } from './archive.ts';
import { phaseOf } from './phase.ts';

const SPEC = {
  backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] },
};
const WELL: ArchiveReport = {
  active: true,
  waiting: 0,
  lastArchived: '000000010000000000000009',
  lastArchivedAt: '2026-06-01T11:59:00Z',
  recoverableUntil: '2026-06-01T11:58:59Z',
  repositories: ['local'],
};
const ago = (ms: number) => new Date(NOW - ms).toISOString();

function factsWith(archive: ArchiveReport | undefined, status: object = {}, spec: object = SPEC) {
  const facts = healthyFacts(spec, 3, status);
  const leader = instance(facts, 'demo-1');
  if (archive) leader.report = { ...leader.report!, archive };
  return facts;
}

const phase = (facts: ReturnType<typeof factsWith>) =>
  phaseOf({ facts, plan: { actions: [], intent: { what: 'steady' } }, failures: [] });

test('nothing is said where no backup is asked for', () => {
  const facts = factsWith(undefined, {}, {});
  assert.equal(archiveState(facts), undefined);
  assert.deepEqual(backupStatus(facts), {});
});

const FAILING: ArchiveReport = {
  ...WELL,
  lastFailed: '00000001000000000000000A',
  error: '[104]: archive-push command encountered error(s): unable to write',
  waiting: 5,
  waitingBytes: 5 * 16 * 1024 * 1024,
};

test('a failing archive makes the cluster degraded, with the error and the backlog', () => {
  const { phase: is, reason } = phase(factsWith(FAILING));
  assert.equal(is, 'Degraded');
  assert.match(reason, /00000001000000000000000A cannot be archived: \[104\].*5 WAL files wait \(80 MiB\)/);
});

test('of several repositories, the one that does not take WAL is named with its own error', () => {
  const repositories = ['local', 'far'].map((name) => ({ name, volume: { size: '1Gi' } }));
  const facts = factsWith(
    { ...FAILING, problems: { far: '[103]: the store is not reached' } },
    {},
    { backup: { repositories } },
  );
  assert.match(
    archiveState(facts)?.message ?? '',
    /cannot be archived: repository far: \[103\]: the store is not reached; 5 WAL files wait/,
  );
  const status = backupStatus(facts).backup?.repositories;
  assert.deepEqual(
    status?.map(({ name, ready, message }) => ({ name, ready, message })),
    [
      { name: 'local', ready: true, message: undefined },
      { name: 'far', ready: false, message: '[103]: the store is not reached' },
    ],
  );
});

test('a repository that comes up is given a moment, then the cluster is degraded', () => {
  const { repositories: _, ...bare } = WELL;
  const archive = { ...bare, problems: { local: 'the repository pod is not reached' } };
  const condition = (since: string) => ({
    conditions: [{ type: 'ContinuousArchiving', status: 'False', lastTransitionTime: since }],
  });
  assert.equal(phase(factsWith(archive)).phase, 'Ready');
  assert.equal(phase(factsWith(archive, condition(ago(10_000)))).phase, 'Ready');
  const late = phase(factsWith(archive, condition(ago(60_000))));
  assert.equal(late.phase, 'Degraded');
  assert.match(late.reason, /local: the repository pod is not reached/);
});

test('a backlog is spoken of long before the volume is full', () => {
  const limit = backlogLimit(factsWith(WELL));
  assert.ok(limit * 16 * 1024 * 1024 < 0.2 * 1024 ** 3);
  const state = archiveState(factsWith({ ...WELL, waiting: limit, waitingBytes: limit * 16 * 1024 * 1024 }));
  assert.match(state?.message ?? '', /archiving is behind; 8 WAL files wait/);
});

test('a change of how archiving goes on is an event, and only a change', () => {
  const status = (reason: string) => ({
    conditions: [{ type: 'ContinuousArchiving', status: 'True' as const, reason, message: 'm' }],
  });
  assert.equal(archiveEvent(status('Archiving'), status('ArchivingBehind'))?.severity, 'Warning');
  assert.equal(archiveEvent(status('Archiving'), status('ArchiveFailing'))?.severity, 'Warning');
  assert.equal(archiveEvent(status('ArchiveFailing'), status('Archiving'))?.severity, 'Normal');
  assert.equal(archiveEvent(status('Archiving'), status('Archiving')), undefined);
  assert.equal(archiveEvent({}, {}), undefined);
});

test('times, numbers and the last WAL file are in the status, and stay while no primary tells', () => {
  const first = '2026-06-01T09:00:00Z';
  const known = { repositories: [{ name: 'local', number: 1 }] };
  const status = backupStatus(factsWith(WELL, { firstRecoverabilityPoint: first, backup: known }));
  assert.equal(status.lastRecoverabilityPoint, WELL.recoverableUntil);
  assert.deepEqual(status.backup?.repositories, [{ name: 'local', number: 1, ready: true }]);
  assert.equal(status.backup?.stanza, 'demo-7400000000000000001');
  const later = backupStatus(factsWith(undefined, status));
  assert.equal(later.lastRecoverabilityPoint, WELL.recoverableUntil);
  assert.equal(later.backup?.lastArchivedWAL, WELL.lastArchived);
});

test('what a repository holds from before it was added again is not what can be recovered to', () => {
  const facts = factsWith(WELL);
  const repository = { name: 'local', number: 1, ready: true, since: '2026-06-01T11:00:00Z' };
  const backup = (hour: number) => ({
    repository: 1,
    startedAt: Date.UTC(2026, 5, 1, hour),
    stoppedAt: Date.UTC(2026, 5, 1, hour, 1),
    label: `${hour}F`,
  });
  const look = (repositories: object[] | undefined, ...hours: number[]) => {
    const given = factsWith(WELL, repositories ? { backup: { repositories } } : {});
    given.backup = { claims: [], info: { backups: hours.map(backup) } as never };
    return backupStatus(given);
  };
  assert.equal(look([repository], 9).firstRecoverabilityPoint, undefined);
  const { firstRecoverabilityPoint, backup: told } = look([repository], 9, 11);
  assert.equal(firstRecoverabilityPoint, '2026-06-01T11:01:00Z');
  assert.deepEqual([told?.repositories?.[0]?.backups, told?.repositories?.[0]?.since], [2, repository.since]);
  const { since: _, ...always } = repository;
  assert.equal(look([always], 9, 11).firstRecoverabilityPoint, '2026-06-01T09:01:00Z');
  assert.equal(
    look(undefined).backup?.repositories?.[0]?.since,
    `${new Date(facts.now).toISOString().slice(0, 19)}Z`,
  );
  delete facts.cluster.status!.systemID;
  assert.equal(backupStatus(facts).backup?.repositories?.[0]?.since, undefined, 'a new cluster');
});

test('a WAL file that is missing in the archive shortens what can be recovered, and is named', () => {
  const at = (hour: number) => Date.UTC(2026, 5, 1, hour);
  const set = (repository: number, hour: number) => ({
    repository,
    startedAt: at(hour),
    stoppedAt: at(hour),
    label: `${hour}F`,
  });
  const hole = { repository: 1, file: '000000010000000000000007', afterMs: at(9), open: true };
  const look = (hole: object, ...backups: object[]) => {
    const facts = factsWith(WELL);
    facts.backup = { claims: [], info: { backups, holes: [hole] } as never };
    return facts;
  };
  const open = look({ ...hole, firstMs: at(7), lastMs: at(8) }, set(1, 7));
  const status = backupStatus(open);
  assert.equal(status.firstRecoverabilityPoint, '2026-06-01T07:00:00Z');
  assert.equal(status.lastRecoverabilityPoint, '2026-06-01T08:00:00Z');
  assert.match(status.backup?.repositories?.[0]?.message ?? '', /000000010000000000000007 is missing/);
  const { phase: is, reason } = phase(open);
  assert.equal(is, 'Degraded');
  assert.match(reason, /local: the WAL file 000000010000000000000007 is missing.*2026-06-01T07:00:00Z to /);
  const closed = look({ ...hole, open: false, firstMs: at(10), lastMs: at(8) }, set(1, 7), set(1, 10));
  assert.equal(backupStatus(closed).firstRecoverabilityPoint, '2026-06-01T10:00:00Z');
  assert.equal(backupStatus(closed).lastRecoverabilityPoint, WELL.recoverableUntil);
  assert.equal(phase(closed).phase, 'Ready');
  assert.match(
    backupStatus(closed).backup?.repositories?.[0]?.message ?? '',
    /no time between 2026-06-01T08:00:00Z and 2026-06-01T10:00:00Z can be restored/,
  );
  const useless = look(hole, set(1, 7));
  assert.equal(backupStatus(useless).firstRecoverabilityPoint, undefined);
  assert.equal(backupStatus(useless).lastRecoverabilityPoint, undefined);
});

test('what can be recovered ends where it begins, until more WAL is archived, and nowhere without a backup', () => {
  const until = (first: string) =>
    backupStatus(factsWith(WELL, { firstRecoverabilityPoint: first })).lastRecoverabilityPoint;
  assert.equal(until('2026-06-01T11:59:30Z'), '2026-06-01T11:59:30Z');
  assert.equal(backupStatus(factsWith(WELL)).lastRecoverabilityPoint, undefined);
});

test('what serves a volume is made, and goes with the last of them; the volume stays', () => {
  const facts = factsWith(WELL);
  const made = planRepository(facts).map((action) => ('kind' in action ? action.kind.kind : action.do));
  assert.deepEqual(made, ['Service', 'PersistentVolumeClaim', 'Service', 'Deployment']);
  const claim = planRepository(facts).find(
    (action) => action.do === 'create' && action.object.kind === 'PersistentVolumeClaim',
  );
  assert.ok(claim?.do === 'create');
  assert.equal(claim.object.metadata.ownerReferences, undefined);
  const objects = planRepository(facts).flatMap((action) => (action.do === 'ensure' ? [action.object] : []));
  const [pods, service, deployment] = objects as never[];
  const without = factsWith(undefined, {}, {});
  without.backup = { claims: [], pods, service, deployment } as never;
  assert.deepEqual(
    planRepository(without).map((action) => `${action.do} ${'name' in action ? action.name : ''}`),
    ['delete demo-pods', 'delete demo-backup', 'delete demo-backup'],
  );
});

test('the repository pod is no instance, and may do nothing in Kubernetes', () => {
  const facts = factsWith(WELL);
  const action = planRepository(facts).find(
    ({ do: what, ...rest }) =>
      what === 'ensure' && 'kind' in rest && (rest.kind as { kind: string }).kind === 'Deployment',
  );
  assert.ok(action?.do === 'ensure');
  const { template } = (
    action.object as unknown as { spec: { template: { metadata: { labels: object }; spec: object } } }
  ).spec;
  assert.ok(!('pgherd.io/cluster' in template.metadata.labels));
  assert.equal(
    (template.spec as { automountServiceAccountToken: boolean }).automountServiceAccountToken,
    false,
  );
});

test('a repository that is nearly full is named long before it is, and while it is', () => {
  const MiB = 1024 * 1024;
  const at = (usedBytes: number) => ({
    volumes: { local: { usedBytes: usedBytes * MiB, sizeBytes: 1000 * MiB } },
  });
  assert.equal(archiveState(factsWith({ ...WELL, ...at(849) }))?.is, 'working');
  const filling = archiveState(factsWith({ ...WELL, ...at(850) }));
  assert.equal(filling?.is, 'filling');
  assert.match(filling?.message ?? '', /repository local is 85 % full \(850 of 1000 MiB\)/);
  assert.match(
    archiveState(factsWith({ ...FAILING, ...at(1000) }))?.message ?? '',
    /cannot be archived.*100 % full/,
  );
  const condition = (reason: string) => ({
    conditions: [{ type: 'ContinuousArchiving', status: 'True' as const, reason, message: 'm' }],
  });
  assert.equal(archiveEvent(condition('Archiving'), condition('RepositoryFilling'))?.severity, 'Warning');
});
