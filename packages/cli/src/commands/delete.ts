import { ANNOTATION_WITHOUT_LAST_WAL, LABEL_CLUSTER, LABEL_REPOSITORY } from '@pgherd/api';
import { isKubeError, kinds } from '@pgherd/kube';
import type { Command } from 'commander';
import { getCluster } from '../clusters.ts';
import { confirm } from '../confirm.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { ClusterKind } from '../kinds.ts';
import { archiveLastWal } from '../last-wal.ts';
import { example, timeoutOption, withConnection } from '../options.ts';
import { print, startProgress } from '../output.ts';
import { waitFor } from '../wait.ts';
import { addDeleteBackup } from './delete-backup.ts';

interface DeleteOptions extends ConnectionOptions {
  yes?: boolean;
  deleteBackups?: boolean;
  withoutLastWal?: boolean;
  wait: boolean;
  timeout: number;
}

/** `pgherd delete cluster`. */
export function addDelete(program: Command): void {
  const parent = program.command('delete').description('Delete something');
  addDeleteBackup(parent);
  const command = parent
    .command('cluster')
    .description('Delete a cluster with its pods, services, secrets and volumes')
    .argument('<name>', 'cluster')
    .option('-y, --yes', 'do not ask')
    .option('--delete-backups', 'delete the volumes of its repositories too; they are kept otherwise')
    .option('--without-last-wal', 'do not archive the last WAL first: backups lack what was committed last')
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for the end', '2m'));
  withConnection(command).action(deleteCluster);
  example(command, 'pgherd delete cluster demo', 'pgherd delete cluster demo --yes --no-wait');
}

async function deleteCluster(name: string, options: DeleteOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const cluster = await getCluster(client, namespace, name);
  const volumes = await volumesOf(connection, name);
  const backups = await volumesOf(connection, name, BACKUPS);
  if (!options.yes) {
    print(`This deletes cluster ${name} in namespace ${namespace} and the data on its volumes:`);
    print(`  ${volumes.join(', ') || '(no volumes yet)'}`);
    if (backups.length > 0)
      print(
        `Volumes with its backups, ${options.deleteBackups ? 'deleted too' : 'kept'}: ${backups.join(', ')}`,
      );
  }
  await confirm('Are you sure?', options);
  if (cluster.status?.firstRecoverabilityPoint && !options.deleteBackups && !options.withoutLastWal)
    await archiveLastWal(connection, name);
  await withoutWaiting(connection, name);
  try {
    await client.delete(ClusterKind, { namespace, name }, { preconditions: { uid: cluster.metadata.uid } });
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
  if (options.deleteBackups)
    for (const claim of backups) await client.delete(kinds.PersistentVolumeClaim, { namespace, name: claim });
  if (!options.wait) return print(`Cluster ${name} is being deleted.`);
  await waitForEnd(connection, name, options.timeout);
}

/** Its last WAL is archived, or not to be: the operator need not see to it. */
async function withoutWaiting({ client, namespace }: Connection, name: string): Promise<void> {
  const body = { metadata: { annotations: { [ANNOTATION_WITHOUT_LAST_WAL]: 'true' } } };
  try {
    await client.patch(ClusterKind, { namespace, name }, { type: 'merge', body });
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
}

/** Label selectors: volumes of repositories, and all others. */
const BACKUPS = LABEL_REPOSITORY;
const DATA = `!${LABEL_REPOSITORY}`;

async function volumesOf({ client, namespace }: Connection, name: string, which = DATA): Promise<string[]> {
  const { items } = await client.list(kinds.PersistentVolumeClaim, {
    namespace,
    labelSelector: `${LABEL_CLUSTER}=${name},${which}`,
  });
  return items.map((each) => each.metadata.name);
}

async function waitForEnd(connection: Connection, name: string, timeoutMs: number): Promise<void> {
  const { client, namespace } = connection;
  const progress = startProgress(`Deleting cluster ${name}`);
  let left = 'its deletion has not been seen yet';
  try {
    await waitFor(
      async () => {
        const [cluster, pods, volumes] = await Promise.all([
          client.find(ClusterKind, { namespace, name }),
          client.list(kinds.Pod, { namespace, labelSelector: `${LABEL_CLUSTER}=${name}` }),
          volumesOf(connection, name),
        ]);
        left = `${pods.items.length} pods and ${volumes.length} volumes of cluster ${name} are left`;
        progress.update(left);
        return !cluster && pods.items.length === 0 && volumes.length === 0;
      },
      { timeoutMs, describe: () => left },
    );
    progress.done(`Cluster ${name} is deleted.`);
  } catch (error) {
    progress.fail(left);
    throw error;
  }
}
