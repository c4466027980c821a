import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecoverySource } from '@pgherd/api';
import { bareFacts, testCluster } from '../testing/facts.ts';
import { bootstrapSource, foreignRepository, sourceSecrets } from './recovery-source.ts';
import { repositoryDeployment } from './specs/repository.ts';

const volume = { size: '1Gi' };
const encryption = { secret: { name: 'keys', key: 'pass' } };

function resolve(source: object, o: { there?: boolean; claims?: string[] } = {}) {
  const cluster = testCluster({ bootstrap: { recovery: { source } } });
  const old = testCluster({ backup: { repositories: [{ name: 'local', volume }] } });
  return bootstrapSource(
    cluster,
    (name) => (o.there && name === 'old' ? old : undefined),
    async () => undefined,
    (name) => (o.claims ?? ['old-backup-local']).includes(name),
  );
}

test('the volume of a cluster that is gone is found by the names of both', async () => {
  const source = (await resolve({ cluster: 'old', repositoryName: 'local' })) as {
    claim?: string;
    number?: number;
  };
  assert.deepEqual([source.claim, source.number], ['old-backup-local', 1]);
  const told = { cluster: 'old', repository: { name: 'local', volume, encryption } };
  const encrypted = (await resolve(told)) as { claim?: string; repository?: { encryption?: object } };
  assert.deepEqual(
    [encrypted.claim, encrypted.repository?.encryption],
    ['old-backup-local', encryption.secret],
  );
});

test('while its cluster is there, that serves it', async () => {
  const source = (await resolve({ cluster: 'old', repositoryName: 'local' }, { there: true })) as {
    claim?: string;
  };
  assert.equal(source.claim, undefined);
});

test('where there is neither, that is said', async () => {
  const given = { cluster: 'old', repository: { name: 'local', volume } };
  const { problem } = (await resolve(given, { claims: [] })) as { problem: string };
  assert.match(problem, /neither a cluster old nor a volume claim old-backup-local/);
});

test('its volume is mounted to be read only, and only while it is being restored from', async () => {
  const source = (await resolve({
    cluster: 'old',
    repository: { name: 'local', volume, encryption },
  })) as RecoverySource;
  assert.deepEqual(sourceSecrets('demo', source), ['keys']);
  const restoration = { id: 'x', stage: 'restoring', instance: 'demo-1', source: JSON.stringify(source) };
  const restoring = bareFacts(testCluster({}, { restoration }));
  assert.equal(foreignRepository(restoring.cluster)?.claim, 'old-backup-local');
  const { volumes = [], containers } = repositoryDeployment(restoring, new Map()).spec.template.spec!;
  assert.ok(
    volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName === 'old-backup-local'),
  );
  const mounts = containers[0]!.volumeMounts!.filter(({ name }) => name.startsWith('foreign'));
  assert.deepEqual(
    mounts.map(({ readOnly }) => readOnly),
    [true, true],
  );
  assert.equal(foreignRepository(testCluster({})), undefined);
});

test('a time that does not exist is refused before anything is made', () => {
  const refused = (targetTime: string) =>
    bareFacts(testCluster({ bootstrap: { recovery: { recoveryTarget: { targetTime } } } })).problems;
  assert.deepEqual(refused('2026-02-28 10:00 Europe/Berlin'), []);
  for (const [time, why] of [
    ['2026-02-30 10:00', /no such day/],
    ['2026-02-28 10:00 Europe/Nowhere', /no time zone Europe\/Nowhere/],
    ['2026-03-29 02:30 Europe/Berlin', /put forward/],
  ] as const) {
    const [problem] = refused(time);
    assert.equal(problem?.field, 'spec.bootstrap.recovery.recoveryTarget.targetTime');
    assert.match(problem.message, why);
  }
});
