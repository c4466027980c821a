import type { Command } from 'commander';
import {
  type BackupFacts,
  checkRepository,
  clusterWithBackups,
  expireSet,
  pgbackrestInfo,
} from '../backups/repository-pods.ts';
import { confirm } from '../confirm.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { BackupKind, type ClusterObject, ScheduledBackupKind } from '../kinds.ts';
import { example, withConnection } from '../options.ts';
import { print } from '../output.ts';

interface DeleteOptions extends ConnectionOptions {
  yes?: boolean;
  repo?: string;
}

/** `pgherd delete backup|schedule`. */
export function addDeleteBackup(parent: Command): void {
  const backup = parent
    .command('backup')
    .description('Remove a backup from its repository; one that others rest on is refused')
    .argument('<cluster>', 'cluster')
    .argument('<backup>', 'label as in show backup, or name of the Backup')
    .option('--repo <name>', 'repository, where several hold one of the label')
    .option('-y, --yes', 'do not ask');
  withConnection(backup).action(deleteBackup);
  example(backup, 'pgherd delete backup demo 20260102-030405F');

  const schedule = parent
    .command('schedule')
    .description('Delete a schedule; its backups stay')
    .argument('<name>', 'schedule')
    .option('-y, --yes', 'do not ask');
  withConnection(schedule).action(deleteSchedule);
  example(schedule, 'pgherd delete schedule demo-full --yes');
}

async function deleteBackup(name: string, which: string, options: DeleteOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const { cluster, stanza } = await clusterWithBackups(connection, name);
  checkRepository(cluster, options.repo);
  const object = await client.find(BackupKind, { namespace, name: which });
  const label = object?.status?.label ?? which;
  const found = await findSet(connection, cluster, stanza, label, options.repo ?? object?.status?.repository);
  await confirm(`This removes backup ${label} from repository ${found.repository}. Are you sure?`, options);
  await expireSet(connection, cluster, stanza, { ...found, label });
  const { items } = await client.list(BackupKind, { namespace });
  for (const { metadata, spec, status } of items)
    if (spec.cluster.name === name && status?.label === label && status.repository === found.repository)
      await client.delete(BackupKind, { namespace, name: metadata.name });
  print(`Backup ${label} is removed from repository ${found.repository}.`);
}

/** The repository that holds a backup which nothing rests on; CliError says why there is none. */
async function findSet(
  connection: Connection,
  cluster: ClusterObject,
  stanza: string,
  label: string,
  repo: string | undefined,
): Promise<{ repository: string; number: number }> {
  const [info] = JSON.parse(await pgbackrestInfo(connection, cluster, stanza, 'json')) as [
    { backup: BackupFacts[] } | undefined,
  ];
  const repositories = cluster.status?.backup?.repositories ?? [];
  const wanted = repositories.filter(({ name }) => !repo || name === repo).map(({ number }) => number);
  const backups = (info?.backup ?? []).filter(({ database }) => wanted.includes(database['repo-key']));
  const sets = backups.filter((one) => one.label === label);
  const { name } = cluster.metadata;
  if (sets.length === 0)
    throw new CliError(
      'notFound',
      `Cluster ${name} has no backup ${label}${repo ? ` in repository ${repo}` : ''}.`,
      {
        hint: `See: pgherd show backup ${name}`,
      },
    );
  if (sets.length > 1)
    throw new CliError('usage', `Several repositories hold a backup ${label}.`, {
      hint: 'Say which with --repo.',
    });
  const number = sets[0]!.database['repo-key'];
  const resting = backups.filter(
    ({ reference, database }) => database['repo-key'] === number && reference?.includes(label),
  );
  if (resting.length > 0)
    throw new CliError(
      'refused',
      `Others rest on backup ${label}: ${resting.map((one) => one.label).join(', ')}.`,
      {
        hint: 'Remove those first, the newest first.',
      },
    );
  return { repository: repositories.find((one) => one.number === number)?.name ?? `repo${number}`, number };
}

async function deleteSchedule(name: string, options: DeleteOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  if (!(await client.find(ScheduledBackupKind, { namespace, name })))
    throw new CliError('notFound', `There is no schedule ${name} in namespace ${namespace}.`, {
      hint: `List them with \`pgherd show schedule -n ${namespace}\`, or give another namespace with -n.`,
    });
  await confirm(`This deletes the schedule ${name}. Are you sure?`, options);
  await client.delete(ScheduledBackupKind, { namespace, name });
  print(`schedule ${name} deleted`);
}
