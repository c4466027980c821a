import type { Pod } from '@pgherd/kube';
import { logs } from '@pgherd/kube/streams';
import type { Command } from 'commander';
import { getCluster, instancePods } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { LineSplitter, readableLine } from '../log-lines.ts';
import { duration, example, whole, withConnection } from '../options.ts';
import { paint, print, remark } from '../output.ts';
import { DATABASE_CONTAINER } from '../pod-exec.ts';

interface LogsOptions extends ConnectionOptions {
  follow?: boolean;
  instance?: string;
  tail?: number;
  since?: number;
  previous?: boolean;
  json?: boolean;
}

/** How long to wait before looking again for pods to follow. */
const LOOK_AGAIN_MS = 1_000;

/** `pgherd logs`. */
export function addLogs(program: Command): void {
  const command = program
    .command('logs')
    .description('Print the logs of all instances: those of PostgreSQL and of the instance manager')
    .argument('<name>', 'cluster')
    .option('-f, --follow', 'go on as lines come, also from pods that come later')
    .option('--instance <name>', 'only of this instance')
    .option('--tail <lines>', 'last lines of each instance', whole(0))
    .option('--since <time>', 'only lines newer than this, such as 10m', duration)
    .option('-p, --previous', 'of the container before its last restart')
    .option('--json', 'print the lines as they are, JSON objects');
  withConnection(command).action(showLogs);
  example(command, 'pgherd logs demo --tail 20', 'pgherd logs demo -f --instance demo-2');
}

async function showLogs(name: string, options: LogsOptions): Promise<void> {
  const connection = await connect(options);
  await getCluster(connection.client, connection.namespace, name);
  const pods = await wantedPods(connection, name, options);
  if (pods.length === 0 && !options.follow) {
    throw new CliError(
      'notFound',
      `Cluster ${name} has no pods${options.instance ? ` called ${options.instance}` : ''}.`,
      {
        hint: `See \`pgherd status ${name} -n ${connection.namespace}\` for what it waits for.`,
      },
    );
  }
  if (options.follow) return followAll(connection, name, options);
  for (const pod of pods) await stream(connection, pod, options);
}

async function wantedPods(connection: Connection, name: string, options: LogsOptions): Promise<Pod[]> {
  const pods = await instancePods(connection.client, connection.namespace, name);
  return options.instance ? pods.filter((pod) => pod.metadata.name === options.instance) : pods;
}

/** Follows every container of the cluster, and those that start later, until interrupted. */
async function followAll(connection: Connection, name: string, options: LogsOptions): Promise<void> {
  const followed = new Set<string>();
  for (;;) {
    const pods = await wantedPods(connection, name, options).catch(() => []);
    for (const pod of pods) {
      const id = pod.status?.containerStatuses?.find((c) => c.name === DATABASE_CONTAINER)?.containerID;
      if (!id || followed.has(id)) continue;
      // Of a container that started while we were following, everything is news.
      const first = followed.size === 0 || options.tail === undefined;
      followed.add(id);
      stream(connection, pod, first ? options : { ...options, tail: undefined }).catch((error: Error) =>
        remark(`${pod.metadata.name}: ${error.message}`),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

async function stream(connection: Connection, pod: Pod, options: LogsOptions): Promise<void> {
  const source = await logs(
    connection.client,
    { namespace: pod.metadata.namespace, name: pod.metadata.name },
    {
      container: DATABASE_CONTAINER,
      follow: options.follow,
      previous: options.previous,
      tailLines: options.tail,
      sinceSeconds: options.since === undefined ? undefined : Math.max(1, Math.ceil(options.since / 1000)),
    },
  );
  const lines = new LineSplitter();
  const show = (line: string) =>
    print(options.json ? line : `${paint('dim', pod.metadata.name)} ${readableLine(line)}`);
  for await (const chunk of source) for (const line of lines.push(chunk as Buffer)) show(line);
  for (const line of lines.end()) show(line);
}
