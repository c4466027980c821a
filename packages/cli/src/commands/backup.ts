import type { BackupType } from '@pgherd/api';
import type { Command } from 'commander';
import { Option } from 'commander';
import { createBackup, followBackup } from '../backups/follow.ts';
import { checkRepository, clusterWithBackups } from '../backups/repository-pods.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { example, timeoutOption, withConnection, withOutput } from '../options.ts';
import { bytes, print, printJson, startProgress } from '../output.ts';

export const TYPE_WORDS = ['full', 'differential', 'incremental', 'diff', 'incr'];

/** Our word for a type, given in ours or in pgBackRest's. */
export function backupType(word: string | undefined): BackupType | undefined {
  if (word === 'diff') return 'differential';
  if (word === 'incr') return 'incremental';
  return word as BackupType | undefined;
}

interface BackupOptions extends ConnectionOptions {
  type?: string;
  repo?: string;
  target?: 'prefer-standby' | 'primary';
  wait: boolean;
  timeout: number;
  output?: string;
}

/** `pgherd backup`. */
export function addBackup(program: Command): void {
  const command = program
    .command('backup')
    .description('Back up a cluster and wait until it is done')
    .argument('<name>', 'cluster')
    .addOption(
      new Option('--type <type>', 'full, differential or incremental (default: incremental)').choices(
        TYPE_WORDS,
      ),
    )
    .option('--repo <name>', 'repository it goes to (default: the first one)')
    .addOption(
      new Option('--target <which>', 'which instance is copied').choices(['prefer-standby', 'primary']),
    )
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for the end', '24h'));
  withOutput(withConnection(command)).action(backUp);
  example(command, 'pgherd backup demo --type full', 'pgherd backup demo --repo far --no-wait');
}

async function backUp(name: string, options: BackupOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const { cluster } = await clusterWithBackups(connection, name);
  checkRepository(cluster, options.repo);
  const type = backupType(options.type);
  const made = await createBackup(client, namespace, {
    cluster: { name },
    ...(type ? { type } : {}),
    ...(options.repo ? { repository: options.repo } : {}),
    ...(options.target ? { target: options.target } : {}),
  });
  if (!options.wait) {
    if (options.output === 'json') return printJson(made);
    return print(`backup/${made.metadata.name} created`);
  }
  const progress = startProgress(`Backup ${made.metadata.name} of cluster ${name}`);
  try {
    const backup = await followBackup(client, made, {
      timeoutMs: options.timeout,
      onProgress: progress.update,
    });
    const {
      phase,
      label,
      type: became,
      copiedSize = 0,
      repositoryDelta,
      repository,
      instance,
      error,
    } = backup.status ?? {};
    if (phase === 'Failed') throw new CliError('failed', `The backup failed: ${error}`);
    progress.done(
      `${became} backup ${label}: ${bytes(copiedSize)} copied from ${instance}${repositoryDelta === undefined ? '' : `, ${bytes(repositoryDelta)} added to repository ${repository}`}`,
    );
    if (options.output === 'json') printJson(backup);
  } catch (error) {
    progress.fail(error instanceof CliError && error.code === 'timeout' ? 'It goes on' : 'The backup failed');
    throw error;
  }
}
