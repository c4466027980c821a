import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '@pgherd/cli';
import { kinds } from '@pgherd/kube';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const EXAMPLE = join(import.meta.dirname, '..', '..', '..', 'examples', 'cluster.yaml');

/** The first quarter of an hour of a new user: the example, kubectl, and the commands of the front page. */
export const frontDoor: Scenario = {
  name: 'front-door',
  title: 'the example manifest, kubectl and the everyday commands',
  alongside: true,
  async run(stage) {
    const applied = await stage.kubectl(['apply', '-f', '-'], {
      input: stage.manifest(readFileSync(EXAMPLE, 'utf8')),
    });
    assert.equal(applied.code, 0, applied.stderr);
    const seconds = stage.patience(120_000) / 1000;
    const wait = ['wait', '--for=condition=Ready', 'cluster/demo', `--timeout=${seconds}s`];
    const waited = await stage.kubectl(wait, {
      timeoutMs: (seconds + 10) * 1000,
    });
    assert.equal(waited.code, 0, waited.stderr);
    const ok = async (args: string[]) => {
      const result = await stage.cli(args);
      assert.equal(result.code, 0, `pgherd ${args.join(' ')}: ${result.stderr}`);
      // Nothing in a pipe may be coloured.
      assert.ok(!result.stdout.includes('\x1b'), `colours in the output of pgherd ${args.join(' ')}`);
      return result.stdout;
    };
    const view = JSON.parse(await ok(['status', 'demo', '-o', 'json'])) as {
      primary: string;
      instances: { name: string; role: string; node: string; lsn?: string; timeline?: number }[];
    };
    assert.equal(view.instances.length, 3);
    assert.equal(
      new Set(view.instances.map((each) => each.node)).size,
      Math.min(3, await freeNodes(stage)),
      'each instance must be on a node of its own',
    );
    for (const each of view.instances) assert.ok(each.lsn && each.timeline, `${each.name} has no position`);
    assert.match(await ok(['status', 'demo']), /demo-1 +(primary|replica) /);
    const sql = ['--no-stdin', '--', '-XAtc'];
    assert.equal((await ok(['psql', 'demo', ...sql, 'SELECT pg_is_in_recovery()'])).trim(), 'f');
    assert.equal((await ok(['psql', 'demo', '--replica', ...sql, 'SELECT pg_is_in_recovery()'])).trim(), 't');
    const failing = await stage.cli(['psql', 'demo', ...sql, 'SELECT 1/0']);
    assert.equal(failing.code, 1, "psql's exit code must come through");
    const piped = await stage.cli(['psql', 'demo', '--', '-XAt'], { input: 'SELECT 40 + 2;\n' });
    assert.equal(piped.stdout.trim(), '42');
    assert.match(await ok(['logs', 'demo', '--tail', '5']), /demo-1/);
    assert.match(await ok(['get', 'clusters']), /demo +3\/3 +Ready/);
    assert.match(await ok(['test', 'demo']), /primary \(demo-\d\): UP/);
    assert.match(await ok(['df', 'demo']), /demo-3/);
    assert.match(await ok(['show', 'cluster', 'demo']), /service : demo-rw/);
    assert.ok(
      !(await ok(['report', 'demo', '-f', '-'])).includes(await password(stage)),
      'the report holds a password',
    );
    assert.equal((await stage.cli(['status', 'nobody'])).code, 3);
    const explained = await stage.kubectl(['explain', 'cluster.spec.postgresql.synchronous']);
    assert.match(explained.stdout, /dataDurability/);
    assert.match((await stage.kubectl(['get', 'clusters'])).stdout, /demo/);
    await ok(['delete', 'cluster', 'demo', '--yes']);
    await waitFor(
      async () =>
        (
          await stage.kubectl(['get', 'pods,pvc,secrets', '-l', 'pgherd.io/cluster=demo', '-o', 'name'])
        ).stdout.trim() === '',
      {
        timeoutMs: stage.patience(30_000),
        describe: () => 'something of the deleted cluster is left',
      },
    );
  },
};

async function password(stage: Parameters<Scenario['run']>[0]): Promise<string> {
  const { stdout } = await stage.kubectl(['get', 'secret', 'demo-app', '-o', 'jsonpath={.data.password}']);
  return Buffer.from(stdout, 'base64').toString('utf8');
}

/** Nodes that take ordinary pods. */
async function freeNodes(stage: Stage): Promise<number> {
  const { items } = await stage.client.list(kinds.Node);
  const isFree = ({ spec }: (typeof items)[number]) =>
    spec?.unschedulable !== true && !spec?.taints?.some(({ effect }) => effect !== 'PreferNoSchedule');
  return items.filter(isFree).length;
}
