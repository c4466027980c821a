import { randomBytes } from 'node:crypto';
import { type Job, kinds, type Pod } from '@pgherd/kube';
import { logs } from '@pgherd/kube/streams';
import { type Command, Option } from 'commander';
import { stringify } from 'yaml';
import { getCluster } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { example, timeoutOption, withConnection } from '../options.ts';
import { print, printJson, startProgress } from '../output.ts';
import { pgbenchJob } from '../pgbench-job.ts';
import { waitFor } from '../wait.ts';

interface PgbenchOptions extends ConnectionOptions {
  dryRun?: boolean;
  output?: string;
  jobName?: string;
  wait: boolean;
  timeout: number;
}

const START_MS = 120_000;

/** `pgherd pgbench`. */
export function addPgbench(program: Command): void {
  const command = program
    .command('pgbench')
    .description('Measure a cluster with pgbench, as a Job beside it with the login of the application')
    .argument('<name>', 'cluster')
    .argument('[args...]', 'arguments of pgbench, after -- (default: make tables, then 8 clients for 30 s)')
    .option('--dry-run', 'print the Job, create nothing')
    .option('--job-name <name>', 'name of the Job (default: NAME-pgbench-...)')
    .addOption(new Option('-o, --output <format>', 'print the Job').choices(['json', 'yaml']))
    .option('-y, --yes', 'do not ask')
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for its end', '1h'));
  withConnection(command).action(runPgbench);
  example(
    command,
    'pgherd pgbench demo',
    'pgherd pgbench demo -- -c 16 -T 60 -S',
    'pgherd pgbench demo --dry-run',
  );
}

async function runPgbench(name: string, args: string[], options: PgbenchOptions): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const cluster = await getCluster(client, namespace, name);
  const jobName = options.jobName ?? `${name}-pgbench-${randomBytes(3).toString('hex')}`;
  const job = pgbenchJob(cluster, jobName, args[0] === '--' ? args.slice(1) : args);
  if (options.dryRun) return show(job, options.output ?? 'yaml');
  const made = await client.create(kinds.Job, job);
  if (options.output) show(made, options.output);
  if (!options.wait) {
    if (!options.output) print(`job.batch/${jobName} created`);
    return;
  }
  await follow(connection, jobName, options);
}

function show(job: Job, format: string): void {
  if (format === 'json') printJson(job);
  else process.stdout.write(stringify(job));
}

/** Prints the log of the Job's pod as it comes, and ends as the Job does. */
async function follow(connection: Connection, name: string, options: PgbenchOptions): Promise<void> {
  const { client, namespace } = connection;
  const progress = startProgress(`Starting job ${name}`);
  let pod: Pod;
  try {
    pod = await startedPod(connection, name, progress.update);
    progress.done(`Job ${name} runs on ${pod.spec?.nodeName ?? 'a node'}`);
  } catch (error) {
    progress.fail(`Job ${name} does not run`);
    throw error;
  }
  const stream = await logs(client, { namespace, name: pod.metadata.name }, { follow: true });
  for await (const chunk of stream) process.stdout.write(chunk as Buffer);
  const ended = await waitFor(
    async () => {
      const { status } = await client.get(kinds.Job, { namespace, name });
      return status?.conditions?.find(
        ({ type, status: is }) => is === 'True' && /^(Complete|Failed)$/.test(type),
      );
    },
    { timeoutMs: options.timeout, describe: () => `job ${name} still runs` },
  );
  if (ended.type === 'Failed')
    throw new CliError(
      'failed',
      `pgbench against the cluster failed: ${ended.message ?? ended.reason ?? ''}`,
      {
        hint: `Its output is above; the Job is ${namespace}/${name}.`,
      },
    );
}

function startedPod(
  { client, namespace }: Connection,
  name: string,
  onProgress: (text: string) => void,
): Promise<Pod> {
  let seen = `job ${name} has no pod yet`;
  return waitFor(
    async () => {
      const { items } = await client.list(kinds.Pod, { namespace, labelSelector: `job-name=${name}` });
      const [pod] = items;
      if (!pod) return undefined;
      const waiting = pod.status?.containerStatuses?.[0]?.state?.waiting;
      seen = `pod ${pod.metadata.name} ${waiting?.message ?? waiting?.reason ?? pod.status?.phase ?? ''}`;
      onProgress(seen);
      return ['Running', 'Succeeded', 'Failed'].includes(pod.status?.phase ?? '') ? pod : undefined;
    },
    { timeoutMs: START_MS, describe: () => seen },
  );
}
