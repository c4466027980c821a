import assert from 'node:assert/strict';
import { waitUntilReady } from '@pgherd/cli';
import type { Scenario } from '../scenario.ts';

export const cloneLive: Scenario = {
  name: 'clone-live',
  title: 'a cluster without backups is cloned from a running replica, under load',
  alongside: true,
  async run(stage) {
    await stage.createCluster({ instances: 2, postgresql: {} });
    const before = await stage.startTimes();
    await stage.sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS i');
    const writer = await stage.startWriter();
    const cloned = await stage.cli(['clone', stage.cluster, 'copy', '--live', '--timeout', '2m']);
    assert.equal(cloned.code, 0, cloned.stderr);
    assert.match(cloned.stdout + cloned.stderr, /cluster copy is ready/);
    const copy = await waitUntilReady(stage.client, stage.namespace, 'copy', { timeoutMs: 1_000 });
    assert.equal(copy.status?.readyInstances, 2);
    assert.equal(copy.status?.recovered?.timeline, 2);
    const rows = await stage.cli([
      'psql',
      'copy',
      '--no-stdin',
      '--',
      '-d',
      'app',
      '-XAtqc',
      'SELECT count(*) FROM t',
    ]);
    assert.equal(rows.stdout.trim(), '1000', rows.stderr);
    const passwords = await Promise.all(
      [stage.cluster, 'copy'].map(
        async (name) =>
          (await stage.kubectl(['get', 'secret', `${name}-app`, '-o', 'jsonpath={.data.password}'])).stdout,
      ),
    );
    assert.notEqual(passwords[0], passwords[1], 'a clone has passwords of its own');
    assert.deepEqual(await stage.startTimes(), before, 'the source was not touched');
    await stage.check(writer, stage.now());
    const again = await stage.cli(['clone', stage.cluster, 'copy', '--live']);
    assert.notEqual(again.code, 0);
    assert.match(again.stderr, /already/);
  },
};
