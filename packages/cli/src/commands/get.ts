import type { Command } from 'commander';
import { type ConnectionOptions, connect } from '../connection.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { age, print, printJson, remark, table } from '../output.ts';

interface GetOptions extends ConnectionOptions {
  output?: string;
  allNamespaces?: boolean;
}

/** `pgherd get clusters`. */
export function addGet(program: Command): void {
  const get = program.command('get').description('List what there is');
  const command = get
    .command('clusters')
    .alias('cluster')
    .description('List the clusters with their phase and primary')
    .option('-A, --all-namespaces', 'of all namespaces');
  withOutput(withConnection(command), ['json', 'name']).action(listClusters);
  example(command, 'pgherd get clusters', 'pgherd get clusters -A -o json');
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
