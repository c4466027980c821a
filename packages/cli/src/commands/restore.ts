import { describeTarget } from '@pgherd/api';
import type { Command } from 'commander';
import { getCluster } from '../clusters.ts';
import { confirm } from '../confirm.ts';
import { connect } from '../connection.ts';
import { type OperationOptions, performOperation, withOperation } from '../operations.ts';
import { example } from '../options.ts';
import { print, remark } from '../output.ts';
import {
  assumedTime,
  deadlineOption,
  type TargetOptions,
  targetOf,
  withTarget,
} from '../recovery-options.ts';

interface RestoreOptions extends OperationOptions, TargetOptions {
  keepOldVolumes?: boolean;
  deadline: number;
}

interface CloneOptions extends OperationOptions, TargetOptions {
  live?: boolean;
  deadline: number;
}

interface VerifyOptions extends OperationOptions {
  label?: string;
  repo?: string;
  table?: string[];
  deadline: number;
}

/** `pgherd restore`, `pgherd clone` and `pgherd verify backup`. */
export function addRestore(program: Command): void {
  const restore = withTarget(
    program
      .command('restore')
      .description('Put a cluster back to an earlier state, in place, out of its backups')
      .argument('<name>', 'cluster'),
  )
    .option('--keep-old-volumes', 'keep the volumes from before, no longer part of the cluster')
    .addOption(deadlineOption('6h'));
  withOperation(restore, '6h').action(runRestore);
  example(
    restore,
    'pgherd restore demo --pitr-target "2026-11-28 10:30:00+00"',
    'pgherd restore demo --backup 20261128-103021F --target-immediate --yes',
  );

  const clone = withTarget(
    program
      .command('clone')
      .description('Make a new cluster with the data and the topology of another')
      .argument('<source>', 'cluster to be cloned')
      .argument('<name>', 'name of the new cluster'),
  )
    .option('--live', 'copy a running replica instead of a backup')
    .addOption(deadlineOption('24h'));
  withOperation(clone, '6h').action(runClone);
  example(
    clone,
    'pgherd clone demo copy',
    'pgherd clone demo copy --pitr-target 2026-11-28T10:30:00Z',
    'pgherd clone demo copy --live',
  );

  const verify = program
    .command('verify')
    .description('Prove something')
    .command('backup')
    .description('Restore a backup into an instance of its own, check it, and throw that away')
    .argument('<name>', 'cluster')
    .option('--label <label>', 'the backup (default: the newest one)')
    .option('--repo <name>', 'the repository (default: the first)')
    .option(
      '--table <name...>',
      'tables whose rows are counted: DATABASE.SCHEMA.TABLE, SCHEMA.TABLE or TABLE',
    )
    .addOption(deadlineOption('12h'));
  withOperation(verify, '6h').action(runVerify);
  example(verify, 'pgherd verify backup demo', 'pgherd verify backup demo --table orders');
}

async function runRestore(name: string, options: RestoreOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const recoveryTarget = targetOf(options);
  await getCluster(client, namespace, name);
  tellAssumption(options);
  if (!options.yes) {
    print(`This puts cluster ${name} in namespace ${namespace} back to ${describeTarget(recoveryTarget)}.`);
    print('Its instances stop, and what was committed after that point is gone from the cluster.');
    print(
      options.keepOldVolumes
        ? 'The present volumes are kept.'
        : 'The present volumes are deleted once the restored cluster is whole; should it never answer, they come back.',
    );
  }
  await confirm('WARNING: Are you sure?', options);
  await performOperation(
    {
      cluster: name,
      type: 'Restore',
      deadlineSeconds: Math.ceil(options.deadline / 1000),
      restore: {
        ...(recoveryTarget ? { recoveryTarget } : {}),
        ...(options.repo ? { repository: options.repo } : {}),
        ...(options.keepOldVolumes ? { keepOldVolumes: true } : {}),
      },
    },
    options,
  );
}

async function runClone(source: string, name: string, options: CloneOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const recoveryTarget = targetOf(options);
  await getCluster(client, namespace, source);
  tellAssumption(options);
  await performOperation(
    {
      cluster: source,
      type: 'Clone',
      deadlineSeconds: Math.ceil(options.deadline / 1000),
      clone: {
        name,
        ...(options.live ? { live: true } : {}),
        ...(recoveryTarget ? { recoveryTarget } : {}),
        ...(options.repo ? { repository: options.repo } : {}),
      },
    },
    options,
  );
}

async function runVerify(name: string, options: VerifyOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  await getCluster(client, namespace, name);
  await performOperation(
    {
      cluster: name,
      type: 'VerifyBackup',
      deadlineSeconds: Math.ceil(options.deadline / 1000),
      verifyBackup: {
        ...(options.label ? { backup: options.label } : {}),
        ...(options.repo ? { repository: options.repo } : {}),
        ...(options.table ? { tables: options.table } : {}),
      },
    },
    options,
  );
}

/** On standard error: it is no part of the answer. */
function tellAssumption(options: TargetOptions): void {
  const assumed = assumedTime(options);
  if (assumed) remark(assumed);
}
