/** Runs pgBackRest in the pods of a cluster. */
import { isHibernating, LABEL_REPOSITORY_POD, stanzaName } from '@pgherd/api';
import { kinds, type Pod } from '@pgherd/kube';
import { getCluster } from '../clusters.ts';
import type { Connection } from '../connection.ts';
import { CliError } from '../errors.ts';
import type { ClusterObject } from '../kinds.ts';
import { captureInPod } from '../pod-exec.ts';

const FOLDER = '/run/pgherd/pgbackrest';

/** What `pgbackrest info` says of a backup, as far as commands look at it. */
export interface BackupFacts {
  label: string;
  type: string;
  reference: string[] | null;
  database: { 'repo-key': number };
}

/** A cluster whose backups are set up, and the name of its stanza. Throws CliError for any other. */
export async function clusterWithBackups(
  { client, namespace }: Connection,
  name: string,
): Promise<{ cluster: ClusterObject; stanza: string }> {
  const cluster = await getCluster(client, namespace, name);
  const { systemID } = cluster.status ?? {};
  repositoriesOf(cluster);
  if (!systemID)
    throw new CliError('failed', `Cluster ${name} has no database yet.`, {
      hint: `See: pgherd status ${name}`,
    });
  return { cluster, stanza: stanzaName(name, systemID) };
}

/** The names of its repositories. Throws CliError where it has none. */
export function repositoriesOf({ spec, metadata }: ClusterObject): string[] {
  if (!spec.backup)
    throw new CliError('failed', `Cluster ${metadata.name} has no backups: spec.backup is not set.`, {
      hint: 'Name a repository in spec.backup.repositories.',
    });
  return spec.backup.repositories.map(({ name }) => name);
}

/** Throws CliError where a repository is asked for that the cluster does not have. */
export function checkRepository(cluster: ClusterObject, repository: string | undefined): void {
  const repositories = repositoriesOf(cluster);
  if (repository === undefined || repositories.includes(repository)) return;
  throw new CliError('notFound', `Cluster ${cluster.metadata.name} has no repository ${repository}.`, {
    hint: `It has: ${repositories.join(', ')}`,
  });
}

/** Runs pgBackRest in the primary's pod, which reaches every repository, and returns what it printed. */
export async function pgbackrestInfo(
  { client, namespace }: Connection,
  cluster: ClusterObject,
  stanza: string,
  format: 'text' | 'json',
): Promise<string> {
  const { name } = cluster.metadata;
  if (isHibernating(cluster))
    throw new CliError('failed', `Cluster ${name} hibernates: nobody is there to be asked for its backups.`, {
      hint: `Wake it first: pgherd hibernate off ${name} -n ${namespace}`,
    });
  const pod = cluster.status?.currentPrimary;
  if (!pod || !(await client.find(kinds.Pod, { namespace, name: pod })))
    throw new CliError('failed', `Cluster ${name} has no primary to ask.`, {
      hint: `See: pgherd status ${name} -n ${namespace}`,
    });
  return run(
    { client, namespace },
    { metadata: { name: pod, namespace } },
    'postgres',
    `${FOLDER}/pgbackrest.conf`,
    [`--stanza=${stanza}`, `--output=${format}`, 'info'],
  );
}

/** Removes a backup from its repository, where that repository is worked on. */
export async function expireSet(
  connection: Connection,
  cluster: ClusterObject,
  stanza: string,
  set: { repository: string; number: number; label: string },
): Promise<void> {
  const { client, namespace } = connection;
  const { name } = cluster.metadata;
  const volume = cluster.spec.backup?.repositories.find((one) => one.name === set.repository)?.volume;
  const args = [`--stanza=${stanza}`, `--repo=${set.number}`, `--set=${set.label}`, 'expire'];
  if (!volume) {
    const pod = { metadata: { name: cluster.status?.currentPrimary ?? '', namespace } };
    // Alone: beside a volume, whose host would have to do it, pgBackRest refuses.
    await run(connection, pod, 'postgres', `${FOLDER}/files/repository-${set.number}.conf`, args);
    return;
  }
  const labelSelector = `${LABEL_REPOSITORY_POD}=${name}`;
  const { items } = await client.list(kinds.Pod, { namespace, labelSelector });
  const pod = items.find(
    ({ status, metadata }) => status?.phase === 'Running' && !metadata.deletionTimestamp,
  );
  if (!pod)
    throw new CliError('failed', `The repository pod of cluster ${name} does not run.`, {
      hint: `See: kubectl -n ${namespace} get pods -l ${labelSelector}`,
    });
  await run(connection, pod, 'repository', `${FOLDER}/pgbackrest.conf`, args);
}

async function run(
  { client }: Connection | { client: Connection['client']; namespace: string },
  pod: Pick<Pod, 'metadata'>,
  container: string,
  config: string,
  args: string[],
): Promise<string> {
  const command = [
    'pgbackrest',
    `--config=${config}`,
    '--log-level-console=off',
    '--log-level-stderr=warn',
    ...args,
  ];
  const { code, stdout, stderr } = await captureInPod(client, pod, command, { container });
  if (code !== 0)
    throw new CliError(
      'failed',
      `pgBackRest says: ${(stderr || stdout).trim() || `it ended with code ${code}`}`,
    );
  return stdout;
}
