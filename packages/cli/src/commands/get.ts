import type { Command } from 'commander';
import { type ConnectionOptions, connect } from '../connection.ts';
import { ClusterKind, type ClusterObject, OperationKind, type OperationObject } from '../kinds.ts';
import { operatorAwaySince } from '../operator-lease.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { age, print, printJson, remark, table } from '../output.ts';

interface GetOptions extends ConnectionOptions {
  output?: string;
  allNamespaces?: boolean;
}

/** `pgherd get clusters|operations`. */
export function addGet(program: Command): void {
  const get = program.command('get').description('List what there is');
  const command = get
    .command('clusters')
    .alias('cluster')
    .description('List the clusters with their phase and primary')
    .option('-A, --all-namespaces', 'of all namespaces');
  withOutput(withConnection(command), ['json', 'name']).action(listClusters);
  example(command, 'pgherd get clusters', 'pgherd get clusters -A -o json');

  const operations = get
    .command('operations')
    .alias('operation')
    .description('List the operations on clusters, the latest last')
    .option('--cluster <name>', 'of this cluster only')
    .option('-A, --all-namespaces', 'of all namespaces');
  withOutput(withConnection(operations), ['json', 'name']).action(listOperations);
  example(operations, 'pgherd get operations', 'pgherd get operations --cluster demo -o json');
}

async function listClusters(options: GetOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const { items } = await client.list(ClusterKind, {
    namespace: options.allNamespaces ? undefined : namespace,
  });
  if (options.output === 'json') return printJson(items);
  if (options.output === 'name') {
    for (const each of items) print(`cluster.pgherd.io/${each.metadata.name}`);
    return;
  }
  if (items.length === 0) {
    return remark(
      options.allNamespaces ? 'There are no clusters.' : `There are no clusters in namespace ${namespace}.`,
    );
  }
  for (const line of table(
    HEADER,
    items.map((each) => row(each, options.allNamespaces === true)),
  ))
    print(line);
  const away = await operatorAwaySince(client);
  if (away) remark(`No operator works; READY, PHASE and PRIMARY are from ${away} or before.`);
}

const HEADER = ['NAMESPACE', 'NAME', 'READY', 'PHASE', 'PRIMARY', 'AGE'];

function row(cluster: ClusterObject, withNamespace: boolean): string[] {
  const { metadata, spec, status } = cluster;
  return [
    withNamespace ? (metadata.namespace ?? '') : '',
    metadata.name,
    `${status?.readyInstances ?? 0}/${spec.instances ?? 3}`,
    status?.phase ?? '-',
    status?.currentPrimary ?? '-',
    age(metadata.creationTimestamp),
  ];
}

async function listOperations(options: GetOptions & { cluster?: string }): Promise<void> {
  const { client, namespace } = await connect(options);
  const all = options.allNamespaces === true;
  const { items } = await client.list(OperationKind, { namespace: all ? undefined : namespace });
  const found = items
    .filter(({ spec }) => options.cluster === undefined || spec.cluster === options.cluster)
    .sort((a, b) => startOf(a).localeCompare(startOf(b)));
  if (options.output === 'json') return printJson(found);
  if (options.output === 'name') {
    for (const each of found) print(`operation.pgherd.io/${each.metadata.name}`);
    return;
  }
  if (found.length === 0)
    return remark(all ? 'There are no operations.' : `There are no operations in namespace ${namespace}.`);
  const rows = found.map(({ metadata, spec, status }) => [
    all ? (metadata.namespace ?? '') : '',
    metadata.name,
    spec.type,
    spec.cluster,
    status?.phase ?? 'Pending',
    age(metadata.creationTimestamp),
  ]);
  for (const line of table(['NAMESPACE', 'NAME', 'TYPE', 'CLUSTER', 'PHASE', 'AGE'], rows)) print(line);
}

function startOf({ metadata }: OperationObject): string {
  return metadata.creationTimestamp ?? '';
}
