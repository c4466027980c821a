import assert from 'node:assert/strict';
import { ClusterKind, type ClusterObject, waitFor, waitUntilReady } from '@pgherd/cli';
import { writeSecret } from '../certificates.ts';
import { startStore } from '../s3/store.ts';
import type { Scenario } from '../scenario.ts';

const COPY = 'copy';

export const objectStore: Scenario = {
  name: 'object-store',
  alongside: true,
  timeoutMs: 600_000,
  title:
    'backups into a store of S3 kind over TLS; a wrong key is named; deleted by kubectl, restored under another name',
  async run(stage) {
    const store = await startStore(stage);
    await writeSecret(stage, store.keys.secret, { ...store.keys.values, secret: 'wrong' });
    const repository = { name: 's3', s3: store.s3 };
    await stage.createCluster({ instances: 1, backup: { repositories: [repository] } });

    const archiving = async () =>
      (await stage.getCluster()).status?.conditions?.find(({ type }) => type === 'ContinuousArchiving');
    const began = performance.now();
    await waitFor(async () => /s3: .*403 Forbidden/.test((await archiving())?.message ?? ''), {
      timeoutMs: stage.patience(150_000),
      describe: () => 'the status does not say that the key is wrong',
    });
    const refused = await archiving();
    assert.equal(refused?.status, 'False', JSON.stringify(refused));
    assert.match(refused?.message ?? '', /^repositories are not ready: s3: .*the store refuses access/);
    await stage.sql('CREATE TABLE story (i int); INSERT INTO story VALUES (1)');
    await writeSecret(stage, store.keys.secret, store.keys.values);
    await waitFor(async () => (await stage.getCluster()).status?.firstRecoverabilityPoint, {
      timeoutMs: stage.patience(150_000),
      describe: () => 'there is no first backup after the key was put right',
    });
    stage.note(
      `a backup ${((performance.now() - began) / 1000).toFixed(1)} s after a wrong key was named and put right`,
    );
    await waitFor(async () => (await archiving())?.status === 'True', {
      timeoutMs: 60_000,
      describe: () => 'the condition does not say that WAL is archived',
    });
    const folder = `pgherd/${stage.namespace}/${stage.cluster}`;
    assert.ok((await store.files(`${folder}/backup`)) > 100, 'the backup is not in the bucket');

    const asked = performance.now();
    const schedule = [
      'create',
      'schedule',
      stage.cluster,
      '--schedule',
      '@yearly',
      '--immediate',
      '--verify',
    ];
    assert.equal((await stage.cli(schedule)).code, 0);
    const proven = async () =>
      (await stage.getCluster()).status?.conditions?.find(({ type }) => type === 'BackupVerified');
    await waitFor(async () => (await proven())?.status === 'True', {
      timeoutMs: stage.patience(150_000),
      describe: () => 'the scheduled backup is not proven',
    });
    assert.match((await proven())?.message ?? '', /the backup \d{8}-\d{6}F\S* is good: .*checksums/s);
    stage.note(
      `backed up by a schedule, and proven, in ${((performance.now() - asked) / 1000).toFixed(1)} s`,
    );

    await stage.sql('INSERT INTO story VALUES (2)');
    const deleted = await stage.kubectl(['delete', 'cluster.pgherd.io', stage.cluster], {
      timeoutMs: 120_000,
    });
    assert.equal(deleted.code, 0, deleted.stderr);
    const recovery = { source: { cluster: stage.cluster, repository } };
    const copy = {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: { name: COPY, namespace: stage.namespace },
      spec: stage.fitted({ instances: 1, storage: { size: '1Gi' }, bootstrap: { recovery } }),
    };
    await stage.client.create(ClusterKind, copy as unknown as ClusterObject, { fieldValidation: 'Strict' });
    await waitUntilReady(stage.client, stage.namespace, COPY, { timeoutMs: stage.patience(150_000) });
    const rows = await stage.cli(['psql', COPY, '--no-stdin', '--', '-d', 'app', '-XAtqc', 'TABLE story']);
    assert.equal(rows.stdout.trim(), '1\n2', rows.stderr);
  },
};
