import { API_VERSION, isTimeZone, SCHEDULED_BACKUP_KIND } from '@pgherd/api';
import { isKubeError } from '@pgherd/kube';
import type { Command } from 'commander';
import { Option } from 'commander';
import { checkRepository } from '../backups/repository-pods.ts';
import { getCluster } from '../clusters.ts';
import { type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { ScheduledBackupKind, type ScheduledBackupObject } from '../kinds.ts';
import { example, withConnection } from '../options.ts';
import { print } from '../output.ts';
import { backupType, TYPE_WORDS } from './backup.ts';

interface ScheduleOptions extends ConnectionOptions {
  schedule: string;
  name?: string;
  type?: string;
  repo?: string;
  timeZone?: string;
  immediate?: boolean;
  verify?: boolean;
}

/** `pgherd create schedule`. */
export function addCreateSchedule(create: Command): void {
  const command = create
    .command('schedule')
    .description('Have a cluster backed up again and again')
    .argument('<cluster>', 'cluster')
    .requiredOption('--schedule <when>', 'as in cron, such as "0 3 * * *"; six fields begin with the second')
    .option('--name <name>', 'name of the schedule (default: CLUSTER-TYPE)')
    .addOption(
      new Option('--type <type>', 'full, differential or incremental (default: incremental)').choices(
        TYPE_WORDS,
      ),
    )
    .option('--repo <name>', 'repository they go to (default: the first one)')
    .option('--time-zone <zone>', 'time zone of the schedule, such as Europe/Berlin (default: UTC)')
    .option('--immediate', 'make a first backup at once')
    .option('--verify', 'prove each backup by restoring it into an instance of its own');
  withConnection(command).action(createSchedule);
  example(command, "pgherd create schedule demo --type full --schedule '0 3 * * SUN'");
}

async function createSchedule(cluster: string, options: ScheduleOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const found = await getCluster(client, namespace, cluster);
  const { timeZone } = options;
  if (timeZone && !isTimeZone(timeZone))
    throw new CliError('usage', `There is no time zone ${timeZone}.`, { hint: 'Write it as Europe/Berlin.' });
  checkRepository(found, options.repo);
  const type = backupType(options.type);
  const name = options.name ?? `${cluster}-${type ?? 'incremental'}`;
  const schedule = {
    apiVersion: API_VERSION,
    kind: SCHEDULED_BACKUP_KIND,
    metadata: { name, namespace },
    spec: {
      cluster: { name: cluster },
      schedule: options.schedule,
      ...(type ? { type } : {}),
      ...(options.repo ? { repository: options.repo } : {}),
      ...(options.timeZone ? { timeZone: options.timeZone } : {}),
      ...(options.immediate ? { immediate: true } : {}),
      ...(options.verify ? { verify: true } : {}),
    },
  } as ScheduledBackupObject;
  try {
    await client.create(ScheduledBackupKind, schedule, { fieldValidation: 'Strict' });
  } catch (error) {
    if (!isKubeError(error, 'AlreadyExists')) throw error;
    throw new CliError('refused', `There is a schedule ${name} already.`, {
      hint: `Give this one another name with --name, or delete that one: pgherd delete schedule ${name} -n ${namespace}`,
      cause: error,
    });
  }
  print(`schedule ${name} created`);
}
