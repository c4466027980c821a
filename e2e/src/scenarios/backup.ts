import assert from 'node:assert/strict';
import { ClusterKind, type ClusterObject, waitFor, waitUntilReady } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';

const OTHER = 'other';

/** What `pgherd show backup -o json` prints, as far as this looks at it. */
interface Info {
  backup: { label: string; type: string; reference: string[] | null }[];
}

export const backup: Scenario = {
  name: 'backup',
  title:
    'backups by command and by schedule, shown, and removed; WAL is archived; recovered under another name',
  alongside: true,
  async run(stage) {
    // Asked for later, as people do: nothing restarts.
    await stage.createCluster({ instances: 2 });
    const started = await stage.startTimes();
    await stage.changeSpec({ backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } });
    const began = stage.now();
    const full = await stage.cli(['backup', stage.cluster, '--type', 'full'], {
      timeoutMs: stage.patience(60_000),
    });
    assert.equal(full.code, 0, full.stderr);
    stage.note(`first full backup ${((stage.now() - began) / 1000).toFixed(1)} s after it was set up`);
    assert.match(full.stderr, /full backup \d{8}-\d{6}F: .* copied from c-2/);

    const schedule = await stage.cli([
      'create',
      'schedule',
      stage.cluster,
      '--schedule',
      '*/2 * * * * *',
      '--name',
      'often',
    ]);
    assert.equal(schedule.code, 0, schedule.stderr);
    await waitFor(async () => (await info()).backup.some(({ type }) => type === 'incr'), {
      timeoutMs: stage.patience(40_000),
      describe: () => 'the schedule has made no backup',
    });
    assert.match((await stage.cli(['show', 'schedule', stage.cluster])).stdout, /often +c +\*\/2/);
    assert.equal((await stage.cli(['delete', 'schedule', 'often', '--yes'])).code, 0);

    const shown = await stage.cli(['show', 'backup', stage.cluster]);
    assert.match(shown.stdout, /full backup: \d{8}-\d{6}F/);
    const cluster = await stage.getCluster();
    assert.equal(
      cluster.status?.conditions?.find(({ type }) => type === 'ContinuousArchiving')?.status,
      'True',
    );
    assert.ok(cluster.status?.firstRecoverabilityPoint);

    assert.deepEqual(await stage.startTimes(), started, 'PostgreSQL was restarted');
    const { backup: sets } = await info();
    const dependent = sets.find(({ type }) => type === 'incr')!;
    const refused = await stage.cli(['delete', 'backup', stage.cluster, dependent.reference![0]!, '--yes']);
    assert.equal(refused.code, 4, refused.stderr);
    assert.match(refused.stderr, new RegExp(dependent.label));

    // Deleted by kubectl, its last commit comes back all the same: under another name, out of the volume it left.
    await stage.sql("CREATE TABLE last_words AS SELECT 'kept' AS w");
    const deleted = await stage.kubectl(['delete', 'cluster.pgherd.io', stage.cluster], {
      timeoutMs: stage.patience(120_000),
    });
    assert.equal(deleted.code, 0, deleted.stderr);
    const gone = stage.now();
    const source = { cluster: stage.cluster, repositoryName: 'local' };
    const spec = { instances: 1, storage: { size: '1Gi' }, bootstrap: { recovery: { source } } };
    await stage.client.create(ClusterKind, {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: { name: OTHER, namespace: stage.namespace },
      spec: stage.fitted(spec),
    } as unknown as ClusterObject);
    await waitUntilReady(stage.client, stage.namespace, OTHER, { timeoutMs: stage.patience(120_000) });
    const words = ['psql', OTHER, '--no-stdin', '--', '-d', 'app', '-XAtqc', 'TABLE last_words'];
    const { stdout, stderr } = await stage.cli(words);
    assert.equal(stdout.trim(), 'kept', stderr);
    stage.note(`recovered under another name in ${((stage.now() - gone) / 1000).toFixed(1)} s`);

    async function info(): Promise<Info> {
      const { stdout, code, stderr } = await stage.cli(['show', 'backup', stage.cluster, '-o', 'json']);
      assert.equal(code, 0, stderr);
      return (JSON.parse(stdout) as Info[])[0]!;
    }
  },
};
