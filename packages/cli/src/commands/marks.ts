/** Commands that put a mark on a Cluster, which the operator and the instances go by until it is taken away. */
import {
  ALL_INSTANCES,
  ANNOTATION_FENCED,
  ANNOTATION_HIBERNATION,
  ANNOTATION_MAINTENANCE,
  type ClusterPhase,
  fencedMark,
  isHibernating,
  isInMaintenance,
} from '@pgherd/api';
import { Argument, type Command } from 'commander';
import { changeCluster, getCluster, requireInstance } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { example, timeoutOption, withConnection, withOutput } from '../options.ts';
import { print, printJson, startProgress } from '../output.ts';
import { waitFor } from '../wait.ts';

interface MarkOptions extends ConnectionOptions {
  wait: boolean;
  timeout: number;
  output?: string;
}

function withMark(command: Command): Command {
  return withOutput(
    withConnection(
      command
        .option('-y, --yes', 'do not ask')
        .option('--no-wait', 'return at once')
        .addOption(timeoutOption('how long to wait until it is so', '5m')),
    ),
  );
}

/** `pgherd fencing`, `pgherd hibernate` and `pgherd maintenance`. */
export function addMarks(program: Command): void {
  const fencing = program
    .command('fencing')
    .description('Stop PostgreSQL of an instance and keep its pod, or let it run again')
    .addArgument(new Argument('<switch>', 'on: stop it; off: let it run').choices(['on', 'off']))
    .argument('<name>', 'cluster')
    .argument('<instance>', 'instance, or all');
  withMark(fencing).action(fence);
  example(fencing, 'pgherd fencing on demo demo-2', 'pgherd fencing off demo all');

  const hibernate = program
    .command('hibernate')
    .description('Stop a cluster and keep its volumes, or bring it back')
    .addArgument(new Argument('<switch>', 'on: stop it; off: bring it back').choices(['on', 'off']))
    .argument('<name>', 'cluster');
  withMark(hibernate).action(sleep);
  example(hibernate, 'pgherd hibernate on demo', 'pgherd hibernate off demo');

  const maintenance = program
    .command('maintenance')
    .description('Have operator and election leave a cluster alone, or look after it again')
    .addArgument(
      new Argument('<switch>', 'set: leave it alone; unset: look after it').choices(['set', 'unset']),
    )
    .argument('<name>', 'cluster');
  withMark(maintenance).action(maintain);
  example(maintenance, 'pgherd maintenance set demo', 'pgherd maintenance unset demo');
}

async function fence(word: string, name: string, instance: string, options: MarkOptions): Promise<void> {
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const known = cluster.status?.instanceNames ?? [];
  const before = fencedMark(cluster);
  if (instance !== 'all' && !before.includes(instance)) requireInstance(cluster, instance);
  const changed = await mark(connection, cluster, (now) => {
    const after = fencedAfter(now, word === 'on', instance);
    return { [ANNOTATION_FENCED]: after.length > 0 ? JSON.stringify(after) : null };
  });
  const concerned = instance === 'all' ? known : [instance];
  const done = (now: ClusterObject) =>
    concerned.every((each) => (word === 'on' ? isStopped(now, each) : !rests(now, each)));
  const text = word === 'on' ? 'fenced: PostgreSQL is stopped, the pod stays' : 'no longer fenced';
  await follow(connection, changed, done, `${concerned.join(', ')} ${text}`, options);
}

/** Who is fenced once this instance is, or is not any more. */
function fencedAfter(cluster: ClusterObject, on: boolean, instance: string): string[] {
  if (instance === 'all') return on ? [ALL_INSTANCES] : [];
  const before = fencedMark(cluster);
  const listed = before.includes(ALL_INSTANCES) ? (cluster.status?.instanceNames ?? []) : before;
  const others = listed.filter((each) => each !== instance);
  return on ? [...others, instance].sort() : others;
}

function rests({ status }: ClusterObject, instance: string): boolean {
  const state = status?.instancesReportedState?.[instance]?.state;
  return state === undefined || state === 'stopped' || state === 'waiting';
}

/** One that has failed has no PostgreSQL that runs, and would not get one without the fence. */
function isStopped(cluster: ClusterObject, instance: string): boolean {
  return rests(cluster, instance) || cluster.status?.instancesReportedState?.[instance]?.state === 'failed';
}

async function sleep(word: string, name: string, options: MarkOptions): Promise<void> {
  const on = word === 'on';
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const { phase } = cluster.status ?? {};
  if (on && isInMaintenance(cluster)) {
    throw new CliError('refused', `Cluster ${name} is in maintenance: nothing of it is changed.`, {
      hint: `End that first with \`pgherd maintenance unset ${name}\`.`,
    });
  }
  const wanted: ClusterPhase = on ? 'Hibernated' : 'Ready';
  if (!on && !isHibernating(cluster) && phase !== 'Hibernated')
    return print(`Cluster ${name} does not hibernate.`);
  const changed = await mark(connection, cluster, () => ({ [ANNOTATION_HIBERNATION]: on ? 'on' : null }));
  const text = on ? `Cluster ${name} hibernates; its volumes are kept` : `Cluster ${name} is back`;
  await follow(connection, changed, (now) => now.status?.phase === wanted, text, options);
}

async function maintain(word: string, name: string, options: MarkOptions): Promise<void> {
  const on = word === 'set';
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const changed = await mark(connection, cluster, () => ({ [ANNOTATION_MAINTENANCE]: on ? 'on' : null }));
  const text = on
    ? `Cluster ${name} is in maintenance: operator and election leave it alone`
    : `Cluster ${name} is looked after again`;
  await follow(connection, changed, (now) => (now.status?.phase === 'Maintenance') === on, text, options);
}

function mark(
  { client }: Connection,
  cluster: ClusterObject,
  wanted: (cluster: ClusterObject) => Record<string, string | null>,
): Promise<ClusterObject> {
  return changeCluster(client, cluster, (now) => ({ metadata: { annotations: wanted(now) } }));
}

async function follow(
  { client, namespace }: Connection,
  cluster: ClusterObject,
  done: (cluster: ClusterObject) => boolean,
  text: string,
  options: MarkOptions,
): Promise<void> {
  const { name } = cluster.metadata;
  const end = (last: ClusterObject) => (options.output === 'json' ? printJson(last) : undefined);
  if (!options.wait) {
    if (options.output !== 'json') print(`Cluster ${name} is being changed.`);
    return end(cluster);
  }
  const progress = startProgress(`Changing cluster ${name}`);
  let seen = 'the operator has not taken it up yet';
  try {
    const last = await waitFor(
      async () => {
        const now = await client.get(ClusterKind, { namespace, name });
        if (done(now)) return now;
        seen = `${now.status?.phase ?? 'Creating'}: ${now.status?.phaseReason ?? ''}`;
        progress.update(seen);
        return undefined;
      },
      {
        timeoutMs: options.timeout,
        describe: () => seen,
        hint: `See \`pgherd status ${name} -n ${namespace}\`.`,
      },
    );
    progress.done(text);
    end(last);
  } catch (error) {
    progress.fail(`Cluster ${name} is not there yet`);
    throw error;
  }
}
