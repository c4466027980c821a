import assert from 'node:assert/strict';
import { names } from '@pgherd/api';
import { type ClusterObject, waitFor, waitUntilReady } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const SPEC = {
  instances: 3,
  storage: { size: '1Gi' },
  backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] },
};

/** What stands in a cluster, asked of the service or the instances as a user would. */
async function rows(stage: Stage, cluster: string, where: string[] = []): Promise<string> {
  const sql = ['--', '-d', 'app', '-XAtqc', "SELECT string_agg(i::text, ' ' ORDER BY i) FROM story"];
  const result = await stage.cli(['psql', cluster, ...where, '--no-stdin', ...sql]);
  assert.equal(result.code, 0, result.stderr);
  return result.stdout.trim();
}

async function moment(stage: Stage): Promise<string> {
  return stage.sql(
    'SELECT to_char(clock_timestamp() AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')',
  );
}

/** Runs a command of pgherd and notes how long it took. */
async function timed(stage: Stage, what: string, args: string[]): Promise<string> {
  const began = performance.now();
  const result = await stage.cli(args, { timeoutMs: 400_000 });
  assert.equal(result.code, 0, `${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  stage.note(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return result.stdout + result.stderr;
}

async function create(stage: Stage, spec: object): Promise<ClusterObject> {
  const { namespace, cluster } = stage;
  const manifest = {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name: cluster, namespace },
    spec,
  };
  const applied = await stage.kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
  assert.equal(applied.code, 0, applied.stderr);
  return stage.ready();
}

async function backUp(stage: Stage, type: 'full' | 'incremental'): Promise<void> {
  const told = await timed(stage, `${type} backup`, ['backup', stage.cluster, '--type', type]);
  const label = /backup (\d{8}-\d{6}F\S*):/.exec(told)?.[1];
  assert.ok(label, told);
  const shown = await stage.cli(['show', 'backup', stage.cluster]);
  assert.ok(shown.stdout.includes(label), shown.stdout + shown.stderr);
}

async function recoverable(stage: Stage): Promise<string> {
  return waitFor(async () => (await stage.getCluster()).status?.firstRecoverabilityPoint, {
    timeoutMs: 300_000,
    describe: () => 'nothing can be recovered yet: no first backup',
  });
}

/** Three instances, the services answer, and these rows are there, on the primary as on the replicas. */
async function holds(stage: Stage, cluster: string, expected: string): Promise<ClusterObject> {
  const found = await waitUntilReady(stage.client, stage.namespace, cluster, { timeoutMs: 200_000 });
  assert.equal(found.status?.readyInstances, 3);
  assert.equal(await rows(stage, cluster), expected);
  assert.equal(await rows(stage, cluster, ['--replica']), expected);
  for (const service of [names(cluster).rw, names(cluster).ro]) {
    const slices = await stage.kubectl([
      'get',
      'endpointslices',
      '-l',
      `kubernetes.io/service-name=${service}`,
      '-o',
      'jsonpath={.items[*].endpoints[*].addresses[0]}',
    ]);
    assert.notEqual(slices.stdout.trim(), '', `${service} leads nowhere`);
  }
  return found;
}

export const recoveryStory: Scenario = {
  name: 'recovery-story',
  timeoutMs: 900_000,
  title:
    'backups, restored in place to two moments, cloned, and recovered under the same name after all was deleted',
  alongside: true,
  async run(stage) {
    const c = stage.cluster;
    await create(stage, SPEC);
    const first = await recoverable(stage);
    await stage.sql('CREATE TABLE story (i int); INSERT INTO story VALUES (1)');
    const t1 = await moment(stage);
    await stage.sql('INSERT INTO story VALUES (2)');
    const t2 = await moment(stage);
    await backUp(stage, 'full');
    await stage.sql('INSERT INTO story VALUES (3)');
    await backUp(stage, 'incremental');
    for (const [target, says] of [
      ['2000-01-01 00:00', /before the end of the first backup; recoverable from/],
      ['2100-01-01T00:00:00Z', /in the future/],
    ] as const) {
      const refused = await stage.cli(['restore', c, '--pitr-target', target, '--yes']);
      assert.equal(refused.code, 1, `${target} must be refused`);
      assert.match(refused.stderr, says);
    }
    assert.match(first, /^\d{4}-/);

    const told = await timed(stage, 'restore to t1', ['restore', c, '--pitr-target', t1, '--yes']);
    assert.match(told, /last transaction there is \d+ of \d{4}-/);
    const one = await holds(stage, c, '1');
    assert.ok(
      Date.parse(one.status?.recovered?.time ?? '') <= Date.parse(t1),
      JSON.stringify(one.status?.recovered),
    );
    assert.match((await stage.cli(['status', c])).stdout, /restored to/i);
    await stage.sql('INSERT INTO story VALUES (11)');
    await timed(stage, 'restore to t2, cut off by the first', ['restore', c, '--pitr-target', t2, '--yes']);
    await holds(stage, c, '1 2');
    await stage.sql('INSERT INTO story VALUES (4)');

    const before = await stage.startTimes();
    await timed(stage, 'clone at the latest point', ['clone', c, 'copy']);
    await holds(stage, 'copy', '1 2 4');
    assert.deepEqual(await stage.startTimes(), before, 'the source was not touched');

    // What was committed just before the end comes back too.
    await stage.sql('INSERT INTO story VALUES (5)');
    for (const cluster of ['copy', c]) {
      const deleted = await stage.cli(['delete', 'cluster', cluster, '--yes'], { timeoutMs: 200_000 });
      assert.equal(deleted.code, 0, deleted.stderr);
    }
    const began = performance.now();
    const again = await create(stage, { ...SPEC, bootstrap: { recovery: { source: {} } } });
    stage.note(`recovered under its own name: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    await holds(stage, c, '1 2 4 5');
    assert.ok(again.status?.recovered?.lsn);
  },
};
