import assert from 'node:assert/strict';
import { ClusterKind, type ClusterObject, waitFor, waitUntilReady } from '@pgherd/cli';
import { writeSecret } from '../certificates.ts';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { AZURE } from '../stores/azure.ts';
import { type StoreKind, startStore } from '../stores/pod.ts';
import { S3 } from '../stores/s3.ts';

const COPY = 'copy';
const STORY = 'a wrong authority and a wrong key are named; deleted by kubectl, restored under another name';

export const objectStore = scenario('object-store', 'S3', S3);
export const objectStoreAzure = scenario('object-store-azure', 'Azure', AZURE);

function scenario(name: string, title: string, kind: StoreKind): Scenario {
  return {
    name,
    alongside: true,
    timeoutMs: 600_000,
    title: `backups into a store of ${title} kind over TLS; ${STORY}`,
    run: (stage) => story(stage, kind),
  };
}

async function story(stage: Stage, kind: StoreKind): Promise<void> {
  const { keys, ca, place, files } = await startStore(stage, kind);
  await writeSecret(stage, keys.secret, keys.wrong);
  await writeSecret(stage, ca.secret, ca.wrong);
  const repository = { name: 'there', ...place };
  await stage.createCluster({ instances: 1, backup: { repositories: [repository] } });

  const condition = async (wanted: string) =>
    (await stage.getCluster()).status?.conditions?.find(({ type }) => type === wanted);
  const archiving = () => condition('ContinuousArchiving');
  const named = (pattern: RegExp, what: string) =>
    waitFor(async () => pattern.test((await archiving())?.message ?? ''), {
      timeoutMs: stage.patience(150_000),
      describe: () => `the status does not say that ${what}`,
    });
  const began = performance.now();
  await named(
    /^repositories are not ready: there: .*unable to verify certificate.*field ca/,
    'the authority is not known',
  );
  await writeSecret(stage, ca.secret, ca.right);
  await named(/^repositories are not ready: there: .*403 .*the store refuses/, 'the key is wrong');
  assert.equal((await archiving())?.status, 'False');
  await stage.sql('CREATE TABLE story (i int); INSERT INTO story VALUES (1)');
  await writeSecret(stage, keys.secret, keys.right);
  await waitFor(async () => (await stage.getCluster()).status?.firstRecoverabilityPoint, {
    timeoutMs: stage.patience(150_000),
    describe: () => 'there is no first backup after the key was put right',
  });
  stage.note(
    `a backup ${((performance.now() - began) / 1000).toFixed(1)} s after a wrong authority and key were named and put right`,
  );
  await waitFor(async () => (await archiving())?.status === 'True', {
    timeoutMs: 60_000,
    describe: () => 'the condition does not say that WAL is archived',
  });
  const folder = `pgherd/${stage.namespace}/${stage.cluster}`;
  assert.ok((await files(`${folder}/backup`)) > 100, 'the backup is not in the bucket');

  const asked = performance.now();
  const schedule = ['create', 'schedule', stage.cluster, '--schedule', '@yearly', '--immediate', '--verify'];
  assert.equal((await stage.cli(schedule)).code, 0);
  const proven = () => condition('BackupVerified');
  await waitFor(async () => (await proven())?.status === 'True', {
    timeoutMs: stage.patience(150_000),
    describe: () => 'the scheduled backup is not proven',
  });
  assert.match((await proven())?.message ?? '', /the backup \d{8}-\d{6}F\S* is good: .*checksums/s);
  stage.note(`backed up by a schedule, and proven, in ${((performance.now() - asked) / 1000).toFixed(1)} s`);

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
}
