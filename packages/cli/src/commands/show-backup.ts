import type { Command } from 'commander';
import { clusterWithBackups, pgbackrestInfo } from '../backups/repository-pods.ts';
import { getCluster } from '../clusters.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { BackupKind, type BackupObject, type ClusterObject, ScheduledBackupKind } from '../kinds.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { age, print, printJson, table } from '../output.ts';

interface ShowOptions extends ConnectionOptions {
  output?: string;
}

/** `pgherd show backup|schedule`. */
export function addShowBackup(show: Command): void {
  const backup = show
    .command('backup')
    .description(
      "Show what the repositories of a cluster hold, in pgBackRest's words, and its latest backups",
    )
    .argument('<name>', 'cluster');
  withOutput(withConnection(backup)).action(showBackups);
  example(backup, 'pgherd show backup demo', 'pgherd show backup demo -o json');

  const schedule = show
    .command('schedule')
    .description('Show the schedules by which a cluster is backed up')
    .argument('[name]', 'cluster (default: all)');
  withOutput(withConnection(schedule)).action(showSchedules);
  example(schedule, 'pgherd show schedule demo');
}

async function showBackups(name: string, options: ShowOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const { cluster, stanza } = await clusterWithBackups(connection, name);
  const format = options.output === 'json' ? 'json' : 'text';
  const info = await pgbackrestInfo(connection, cluster, stanza, format);
  if (format === 'json') return printJson(JSON.parse(info));
  print(`cluster : ${name}`);
  for (const line of statusLines(cluster)) print(`\t${line}`);
  print();
  print(info.trimEnd());
  const { items } = await client.list(BackupKind, { namespace });
  const rows = items
    .filter(({ spec }) => spec.cluster.name === name)
    .sort((a, b) => started(a) - started(b))
    .slice(-10)
    .map(({ metadata, status = {} }) => [
      metadata.name,
      status.type ?? '-',
      status.phase ?? 'Pending',
      status.repository ?? '-',
      age(metadata.creationTimestamp),
      status.label ?? status.error ?? status.message ?? '',
    ]);
  if (rows.length === 0) return;
  print();
  for (const line of table(['BACKUP', 'TYPE', 'PHASE', 'REPOSITORY', 'AGE', 'LABEL OR ERROR'], rows))
    print(line);
}

function started({ metadata }: BackupObject): number {
  return Date.parse(metadata.creationTimestamp ?? '');
}

function statusLines({ status = {} }: ClusterObject): string[] {
  const archiving = status.conditions?.find(({ type }) => type === 'ContinuousArchiving');
  const repositories = (status.backup?.repositories ?? []).map(
    ({ name, number, ready, message }) =>
      `repository : ${name} (repo${number}) ${ready ? 'ready' : 'not ready'}${message ? `: ${message}` : ''}`,
  );
  return [
    ...repositories,
    `archiving : ${archiving?.message ?? 'unknown'}, last WAL ${status.backup?.lastArchivedWAL ?? '-'}`,
    `recoverable : from ${status.firstRecoverabilityPoint ?? '-'} to ${status.lastRecoverabilityPoint ?? '-'}`,
  ];
}

async function showSchedules(name: string | undefined, options: ShowOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const { items } = await client.list(ScheduledBackupKind, { namespace });
  const wanted = items.filter(({ spec }) => !name || spec.cluster.name === name);
  // Somebody who looks for the schedules of a cluster is to know that it is not there.
  if (name && wanted.length === 0) await getCluster(client, namespace, name);
  if (options.output === 'json') return printJson(wanted);
  if (wanted.length === 0)
    return print(
      name ? `Cluster ${name} has no schedule.` : `There is no schedule in namespace ${namespace}.`,
    );
  const rows = wanted.map(({ metadata, spec, status = {} }) => [
    metadata.name,
    spec.cluster.name,
    spec.schedule,
    spec.timeZone ?? 'UTC',
    spec.type ?? 'incremental',
    status.lastScheduleTime ?? '-',
    spec.suspend ? 'suspended' : (status.nextScheduleTime ?? '-'),
    status.message ?? '',
  ]);
  const header = ['SCHEDULE', 'CLUSTER', 'WHEN', 'ZONE', 'TYPE', 'LAST', 'NEXT', 'MESSAGE'];
  for (const line of table(header, rows)) print(line);
}
