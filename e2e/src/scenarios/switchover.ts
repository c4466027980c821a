import assert from 'node:assert/strict';
import type { Operation } from '@pgherd/api';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

export const switchedOver: Scenario = {
  name: 'switchover',
  title: 'pgherd switchover moves the primary under write load; targets that cannot lead are refused',
  shares: true,
  async run(stage) {
    await stage.sharedCluster();
    const writer = await stage.startWriter();
    const primary = await stage.primary();
    const [target, other] = await stage.replicas();
    assert.ok(target && other);

    await refused(
      stage,
      ['switchover', stage.cluster, '--target', 'c-99'],
      /no instance c-99; there are: c-1/,
    );
    await fenced(stage, 'on', other);
    await refused(stage, ['failover', stage.cluster, '--target', other], /is fenced: lift that with/);
    await fenced(stage, 'off', other);
    await stage.ready();

    const since = stage.now();
    const operation = await operate(stage, ['switchover', stage.cluster, '--target', target]);
    assert.equal(operation.status?.result?.newPrimary, target);
    assert.equal(await stage.primary(), target);
    assert.deepEqual(
      operation.status?.steps?.map(({ state }) => state),
      ['Done', 'Done', 'Done', 'Done'],
    );
    stage.note(`${primary} -> ${target}, ${operation.status?.result?.outageMs} ms by the instances' clocks`);
    const shown = await stage.cli(['show', 'workflow', operation.metadata.name]);
    assert.match(shown.stdout, /^hand over +\S+ +Done in /m);
    assert.match(shown.stdout, /^task completed +\S+/m);

    await stage.written(writer, 200);
    await stage.ready();
    await stage.check(writer, since);
    assert.equal(await stage.sql('SELECT pg_is_in_recovery()', ['--instance', primary]), 't');
  },
};

/** Runs a command that asks for an Operation, and returns that as it ended. */
export async function operate(stage: Stage, args: string[]): Promise<Operation> {
  const result = await stage.cli([...args, '-o', 'json', '--yes']);
  assert.equal(result.code, 0, `pgherd ${args.join(' ')}\n${result.stderr}`);
  return JSON.parse(result.stdout) as Operation;
}

async function refused(stage: Stage, args: string[], why: RegExp): Promise<void> {
  const result = await stage.cli([...args, '--yes']);
  assert.equal(result.code, 1, `pgherd ${args.join(' ')}\n${result.stdout}`);
  assert.match(result.stderr.replace(/\s+/g, ' '), why);
}

/** Fences an instance, or lifts the fence. */
export async function fenced(stage: Stage, word: 'on' | 'off', instance: string): Promise<void> {
  const result = await stage.cli(['fencing', word, stage.cluster, instance]);
  assert.equal(result.code, 0, result.stderr);
}
