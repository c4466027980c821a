import { writeFileSync } from 'node:fs';
import { LABEL_CLUSTER } from '@pgherd/api';
import { type AnyObject, type Kind, type KubeObject, kinds } from '@pgherd/kube';
import { logs } from '@pgherd/kube/streams';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { getCluster, instancePods } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { example, whole, withConnection } from '../options.ts';
import { remark } from '../output.ts';
import { DATABASE_CONTAINER } from '../pod-exec.ts';
import { redact } from '../redact.ts';
import { observe } from '../status/observe.ts';
import { viewOf } from '../status/view.ts';

interface ReportOptions extends ConnectionOptions {
  file: string;
  tail: number;
}

/** `pgherd report`. */
export function addReport(program: Command): void {
  const command = program
    .command('report')
    .description(
      'Collect all about a cluster for someone who helps: objects, events, logs; no passwords or keys',
    )
    .argument('<name>', 'cluster')
    .requiredOption('-f, --file <file>', 'file to write, - for standard output')
    .option('--tail <lines>', 'last log lines of each instance', whole(0), 1000);
  withConnection(command).action(writeReport);
  example(command, 'pgherd report demo -f demo-report.yaml');
}

const PARTS: Kind[] = [
  kinds.Pod,
  kinds.Service,
  kinds.EndpointSlice,
  kinds.PersistentVolumeClaim,
  kinds.Secret,
  kinds.Lease,
  kinds.PodDisruptionBudget,
  kinds.Role,
  kinds.RoleBinding,
] as Kind[];

async function writeReport(name: string, options: ReportOptions): Promise<void> {
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const documents: unknown[] = [
    { reportOf: name, namespace: connection.namespace, madeAt: new Date().toISOString() },
    { status: await observe(connection.client, connection.namespace, name).then(viewOf, failure) },
    cluster,
    ...(await objectsOf(connection, name)),
    { events: await eventsOf(connection, name).catch(failure) },
    ...(await logsOf(connection, name, options.tail)),
  ];
  const text = documents.map((each) => stringify(redact(each))).join('---\n');
  if (options.file === '-') process.stdout.write(text);
  else {
    writeFileSync(options.file, text, { mode: 0o600 });
    remark(`The report is in ${options.file}. Read it before you hand it on.`);
  }
}

/** A part that could not be had is no reason to have none of the others. */
function failure(error: Error): { failed: string } {
  return { failed: error.message };
}

async function objectsOf({ client, namespace }: Connection, name: string): Promise<unknown[]> {
  const lists = await Promise.all(
    PARTS.map((kind) =>
      client.list(kind, { namespace, labelSelector: `${LABEL_CLUSTER}=${name}` }).then(
        ({ items }) => items as KubeObject[],
        (error: Error) => [{ kind: kind.kind, ...failure(error) }],
      ),
    ),
  );
  return lists.flat();
}

async function eventsOf({ client, namespace }: Connection, name: string): Promise<string[]> {
  const { items } = await client.list(kinds.Event, { namespace });
  return (items as unknown as (AnyObject & { involvedObject?: { kind?: string; name?: string } })[])
    .filter(
      ({ involvedObject }) => involvedObject?.name === name || involvedObject?.name?.startsWith(`${name}-`),
    )
    .map((event) => {
      const { lastTimestamp, type, reason, message, count } = event as Record<string, unknown>;
      return `${lastTimestamp} ${type} ${event.involvedObject?.kind}/${event.involvedObject?.name} ${reason} x${count ?? 1}: ${message}`;
    })
    .sort();
}

async function logsOf(
  { client, namespace }: Connection,
  name: string,
  tailLines: number,
): Promise<unknown[]> {
  const pods = await instancePods(client, namespace, name);
  return Promise.all(
    pods.map(async (pod) => {
      try {
        const stream = await logs(
          client,
          { namespace, name: pod.metadata.name },
          { container: DATABASE_CONTAINER, tailLines },
        );
        let text = '';
        for await (const chunk of stream) text += String(chunk);
        return { log: pod.metadata.name, lines: text.trimEnd().split('\n') };
      } catch (error) {
        return { log: pod.metadata.name, ...failure(error as Error) };
      }
    }),
  );
}
