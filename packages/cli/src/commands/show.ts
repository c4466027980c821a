import { LABEL_CLUSTER } from '@pgherd/api';
import { kinds, type PersistentVolumeClaim, type Pod, type Service } from '@pgherd/kube';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { getCluster, instancePods, leaseRecord, primaryName } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { CliError } from '../errors.ts';
import { ClusterKind, type ClusterObject, OperationKind } from '../kinds.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { print, printJson, table } from '../output.ts';
import { workflowRows } from '../workflow.ts';
import { addShowBackup } from './show-backup.ts';

interface ShowOptions extends ConnectionOptions {
  output?: string;
  all?: boolean;
}

/** `pgherd show cluster|pvc|config|workflow`. */
export function addShow(program: Command): void {
  const show = program.command('show').description('Show parts of a cluster');
  const cluster = show
    .command('cluster')
    .description('Show pods, volumes, resources, services and labels of a cluster')
    .argument('[name]', 'cluster')
    .option('--all', 'all clusters of the namespace');
  withOutput(withConnection(cluster)).action(showClusters);
  example(cluster, 'pgherd show cluster demo', 'pgherd show cluster --all -o json');

  const pvc = show
    .command('pvc')
    .description('Show the volume claims of a cluster')
    .argument('<name>', 'cluster');
  withOutput(withConnection(pvc)).action(showClaims);
  example(pvc, 'pgherd show pvc demo');

  const config = show
    .command('config')
    .description('Show what a cluster was asked to be, as a manifest')
    .argument('<name>', 'cluster');
  withOutput(withConnection(config)).action(showConfig);
  example(config, 'pgherd show config demo > demo.yaml');

  addShowBackup(show);

  const workflow = show
    .command('workflow')
    .description('Show an operation: what was asked, its steps with their times, and how it ended')
    .argument('<id>', 'name of the operation');
  withOutput(withConnection(workflow)).action(showWorkflow);
  example(workflow, 'pgherd show workflow demo-switchover-1f0a2b3c');
}

interface Parts {
  cluster: ClusterObject;
  primary: string | undefined;
  pods: Pod[];
  claims: PersistentVolumeClaim[];
  services: Service[];
}

async function showClusters(name: string | undefined, options: ShowOptions): Promise<void> {
  const connection = await connect(options);
  const wanted = await chosen(connection, name, options.all === true);
  const all = await Promise.all(wanted.map((each) => partsOf(connection, each)));
  if (options.output === 'json') return printJson(name && !options.all ? all[0] : all);
  all.forEach((parts, i) => {
    if (i > 0) print();
    for (const line of partsLines(parts)) print(line);
  });
}

async function chosen(
  { client, namespace }: Connection,
  name: string | undefined,
  all: boolean,
): Promise<ClusterObject[]> {
  if (name && !all) return [await getCluster(client, namespace, name)];
  return (await client.list(ClusterKind, { namespace })).items;
}

async function partsOf({ client, namespace }: Connection, cluster: ClusterObject): Promise<Parts> {
  const { name } = cluster.metadata;
  const labelSelector = `${LABEL_CLUSTER}=${name}`;
  const [pods, lease, claims, services] = await Promise.all([
    instancePods(client, namespace, name),
    leaseRecord(client, namespace, name),
    client.list(kinds.PersistentVolumeClaim, { namespace, labelSelector }),
    client.list(kinds.Service, { namespace, labelSelector }),
  ]);
  return {
    cluster,
    primary: primaryName(cluster, lease),
    pods,
    claims: claims.items,
    services: services.items,
  };
}

function partsLines({ cluster, primary, pods, claims, services }: Parts): string[] {
  const { metadata, spec, status } = cluster;
  const lines = [`cluster : ${metadata.name} (${status?.image ?? spec.imageName ?? ''})`];
  for (const pod of pods) {
    const ready = pod.status?.containerStatuses?.filter((each) => each.ready).length ?? 0;
    const count = pod.spec?.containers.length ?? 1;
    const role = pod.metadata.name === primary ? 'primary' : 'replica';
    lines.push(
      `\tpod : ${pod.metadata.name} (${pod.status?.phase ?? 'Unknown'}) on ${pod.spec?.nodeName ?? '-'} (${ready}/${count}) (${role})`,
    );
  }
  for (const claim of claims) lines.push(`\tpvc : ${claim.metadata.name}`);
  const { limits, requests } = spec.resources ?? {};
  lines.push(
    `\tresources : CPU Limit=${limits?.cpu ?? ''} Memory Limit=${limits?.memory ?? ''}, CPU Request=${requests?.cpu ?? ''} Memory Request=${requests?.memory ?? ''}`,
    `\tstorage : Data=${spec.storage.size}${spec.walStorage ? ` WAL=${spec.walStorage.size}` : ''}`,
  );
  for (const service of services) {
    lines.push(
      `\tservice : ${service.metadata.name} - ${service.spec?.type ?? 'ClusterIP'} (${service.spec?.clusterIP ?? ''})`,
    );
  }
  const labels = Object.entries(metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  lines.push(`\tlabels : ${labels.join(' ')}`);
  return lines;
}

async function showClaims(name: string, options: ShowOptions): Promise<void> {
  const connection = await connect(options);
  const cluster = await getCluster(connection.client, connection.namespace, name);
  const { claims } = await partsOf(connection, cluster);
  if (options.output === 'json') return printJson(claims);
  const rows = claims.map((claim) => [
    claim.metadata.name,
    claim.metadata.name.endsWith('-wal') ? 'WAL' : 'data',
    claim.status?.phase ?? '-',
    claim.status?.capacity?.storage ?? claim.spec?.resources?.requests?.storage ?? '-',
    claim.spec?.volumeName ?? '-',
  ]);
  for (const line of table(['PVC', 'HOLDS', 'PHASE', 'SIZE', 'VOLUME'], rows)) print(line);
}

async function showWorkflow(id: string, options: ShowOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const operation = await client.find(OperationKind, { namespace, name: id });
  if (!operation)
    throw new CliError('notFound', `There is no operation ${id} in namespace ${namespace}.`, {
      hint: `List them with \`pgherd get operations -n ${namespace}\`.`,
    });
  if (options.output === 'json') return printJson(operation);
  for (const line of table(['PARAMETER', 'VALUE'], workflowRows(operation))) print(line);
}

async function showConfig(name: string, options: ShowOptions): Promise<void> {
  const { client, namespace } = await connect(options);
  const { apiVersion, kind, metadata, spec } = await getCluster(client, namespace, name);
  const manifest = {
    apiVersion,
    kind,
    metadata: { name: metadata.name, namespace, labels: metadata.labels },
    spec,
  };
  if (options.output === 'json') printJson(manifest);
  else process.stdout.write(stringify(manifest));
}
