import { POSTGRES_PORT } from '@pgherd/api';
import type { Pod } from '@pgherd/kube';
import { type Command, Option } from 'commander';
import { getCluster, instancePods, isReady, isRunning, leaseRecord, primaryName } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { example, withConnection } from '../options.ts';
import { runInPod } from '../pod-exec.ts';

/** Where PostgreSQL's Unix socket lies in an instance's container. */
const SOCKETS = '/run/postgresql';

interface PsqlOptions extends ConnectionOptions {
  replica?: boolean;
  instance?: string;
  stdin: boolean;
}

/** `pgherd psql`. */
export function addPsql(program: Command): void {
  const command = program
    .command('psql')
    .description("Open psql as superuser in a pod of the cluster: the primary's, unless told otherwise")
    .argument('<name>', 'cluster')
    .argument('[args...]', 'arguments for psql, after --')
    .addOption(new Option('--replica', 'on a ready replica').conflicts('instance'))
    .option('--instance <name>', 'on this instance')
    .option('--no-stdin', 'do not pass standard input on');
  withConnection(command).action(runPsql);
  example(command, 'pgherd psql demo', "pgherd psql demo --replica -- -c 'SELECT pg_is_in_recovery()'");
}

async function runPsql(name: string, args: string[], options: PsqlOptions): Promise<void> {
  const connection = await connect(options);
  const pod = await choosePod(connection, name, options);
  const given = args[0] === '--' ? args.slice(1) : args;
  process.exitCode = await runInPod(connection.client, pod, psqlCommand(given), { stdin: options.stdin });
}

/** What runs psql as superuser in the pod of an instance. */
export function psqlCommand(args: string[]): string[] {
  return ['psql', '-U', 'postgres', '-h', SOCKETS, '-p', String(POSTGRES_PORT), ...withDatabase(args)];
}

/** psql would take the user's name for the database; people expect `postgres`. */
function withDatabase(args: string[]): string[] {
  const named = args.some((arg) => /^(-d|--dbname|-l$|--list|-V$|--version|-\?|--help)/.test(arg));
  const positional = args.length > 0 && !args[0]!.startsWith('-');
  return named || positional ? args : ['-d', 'postgres', ...args];
}

/**
 * The pod of the instance that is asked for; without options, the primary's.
 * @throws CliError notFound when no such instance runs
 */
export async function choosePod(
  connection: Connection,
  name: string,
  options: Pick<PsqlOptions, 'replica' | 'instance'> = {},
): Promise<Pod> {
  const { client, namespace } = connection;
  const [cluster, pods, lease] = await Promise.all([
    getCluster(client, namespace, name),
    instancePods(client, namespace, name),
    leaseRecord(client, namespace, name),
  ]);
  const primary = primaryName(cluster, lease);
  const running = pods.filter(isRunning);
  if (options.replica) {
    const replicas = running.filter((pod) => pod.metadata.name !== primary);
    const pod = replicas.find(isReady) ?? replicas[0];
    if (pod) return pod;
    throw new CliError('notFound', `Cluster ${name} has no replica that runs.`, {
      hint: `See \`pgherd status ${name} -n ${namespace}\` for what it waits for.`,
    });
  }
  const wanted = options.instance ?? primary;
  const pod = running.find((each) => each.metadata.name === wanted);
  if (pod) return pod;
  const what = wanted
    ? `Instance ${wanted} of cluster ${name} does not run.`
    : `Cluster ${name} has no primary now.`;
  throw new CliError('notFound', what, {
    hint: `See \`pgherd status ${name} -n ${namespace}\` for what it waits for.`,
  });
}
