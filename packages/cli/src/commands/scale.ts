import { ANNOTATION_KEEP, ANNOTATION_LEAVING, LABEL_CLUSTER, LABEL_INSTANCE } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { type Command, Option } from 'commander';
import { changeCluster, getCluster } from '../clusters.ts';
import { confirm } from '../confirm.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import type { ClusterObject } from '../kinds.ts';
import { example, timeoutOption, whole, withConnection, withOutput } from '../options.ts';
import { print, printJson, startProgress } from '../output.ts';
import { waitUntilReady } from '../ready.ts';
import { noSuchReplica, printReplicas, replicasOf } from '../replicas.ts';
import { observe } from '../status/observe.ts';
import { viewOf } from '../status/view.ts';

interface ScaleOptions extends ConnectionOptions {
  replicaCount: number;
  wait: boolean;
  timeout: number;
}

interface ScaledownOptions extends ConnectionOptions {
  query?: boolean;
  target?: string;
  keepData?: boolean;
  yes?: boolean;
  output?: string;
  wait: boolean;
  timeout: number;
}

/** `pgherd scale` and `pgherd scaledown`. */
export function addScale(program: Command): void {
  const scale = program
    .command('scale')
    .description('Add replicas to a cluster')
    .argument('<name>', 'cluster')
    .option('--replica-count <count>', 'how many to add', whole(1), 1)
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for them to be ready', '5m'));
  withConnection(scale).action(scaleUp);
  example(scale, 'pgherd scale demo --replica-count 2');

  const down = program
    .command('scaledown')
    .description('Remove a replica from a cluster')
    .argument('<name>', 'cluster')
    .addOption(new Option('--query', 'list the replicas that can be removed').conflicts('target'))
    .option('--target <instance>', 'replica to remove')
    .option('--keep-data', 'keep its volumes, no longer part of the cluster')
    .option('-y, --yes', 'do not ask')
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for its end', '2m'));
  withOutput(withConnection(down)).action(scaleDown);
  example(down, 'pgherd scaledown demo --query', 'pgherd scaledown demo --target demo-3 --keep-data');
}

async function scaleUp(name: string, options: ScaleOptions): Promise<void> {
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const wanted = (cluster.spec.instances ?? 3) + options.replicaCount;
  await setInstances(connection, cluster, wanted);
  await follow(connection, name, `Cluster ${name} has ${wanted} instances`, options);
}

async function scaleDown(name: string, options: ScaledownOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const view = viewOf(await observe(client, namespace, name));
  const replicas = replicasOf(view);
  if (options.query || !options.target) {
    if (options.output === 'json') return printJson(replicas);
    printReplicas(view);
    if (!options.query) {
      throw new CliError('usage', 'Which replica is to go?', { hint: 'Name it with --target INSTANCE.' });
    }
    return;
  }
  const target = options.target;
  if (target === view.primary) {
    throw new CliError('refused', `${target} is the primary of cluster ${name}, which is never removed.`, {
      hint: `Name a replica: ${replicas.map((each) => each.name).join(', ') || 'there is none'}.`,
    });
  }
  if (!replicas.some((each) => each.name === target)) {
    throw noSuchReplica(view, target);
  }
  const volumes = options.keepData ? '; its volumes are kept' : ', with its volumes';
  if (!options.yes) print(`This removes ${target} from cluster ${name}${volumes}.`);
  await confirm('Are you sure?', options);
  const cluster = await getCluster(client, namespace, name);
  if (options.keepData) await keepVolumes(connection, name, target);
  // Marked first: the operator, which counts, then finds the one to go already named.
  await client.patch(
    kinds.Pod,
    { namespace, name: target },
    {
      type: 'merge',
      body: { metadata: { annotations: { [ANNOTATION_LEAVING]: new Date().toISOString() } } },
    },
  );
  await setInstances(connection, cluster, (cluster.spec.instances ?? 3) - 1);
  await follow(connection, name, `${target} is removed`, options);
}

/** Marks the volumes of an instance as to be let go instead of deleted. */
async function keepVolumes(
  { client, namespace }: Connection,
  cluster: string,
  instance: string,
): Promise<void> {
  const labelSelector = `${LABEL_CLUSTER}=${cluster},${LABEL_INSTANCE}=${instance}`;
  const { items } = await client.list(kinds.PersistentVolumeClaim, { namespace, labelSelector });
  const body = { metadata: { annotations: { [ANNOTATION_KEEP]: new Date().toISOString() } } };
  for (const { metadata } of items)
    await client.patch(
      kinds.PersistentVolumeClaim,
      { namespace, name: metadata.name },
      { type: 'merge', body },
    );
}

/** Writes the number, unless somebody else changed the spec since it was read. */
async function setInstances(
  { client }: Connection,
  cluster: ClusterObject,
  instances: number,
): Promise<void> {
  const { name, generation } = cluster.metadata;
  await changeCluster(client, cluster, (now) => {
    if (now.metadata.generation !== generation)
      throw new CliError('refused', `Somebody else has just changed cluster ${name}.`, {
        hint: 'Look at it, and say it again.',
      });
    return { spec: { instances } };
  });
}

async function follow(
  { client, namespace }: Connection,
  name: string,
  done: string,
  options: { wait: boolean; timeout: number },
): Promise<void> {
  if (!options.wait) return print(`Cluster ${name} is being changed.`);
  const progress = startProgress(`Changing cluster ${name}`);
  try {
    await waitUntilReady(client, namespace, name, {
      timeoutMs: options.timeout,
      onProgress: progress.update,
    });
    progress.done(done);
  } catch (error) {
    progress.fail(`Cluster ${name} is not ready`);
    throw error;
  }
}
