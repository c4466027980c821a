import { names } from '@pgherd/api';
import { type EndpointSlice, kinds, type Pod } from '@pgherd/kube';
import type { Command } from 'commander';
import { getCluster, instancePods, isReady, leaseRecord, primaryName } from '../clusters.ts';
import { type Connection, type ConnectionOptions, connect } from '../connection.ts';
import { exitCodes } from '../errors.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { example, withConnection, withOutput } from '../options.ts';
import { paint, print, printJson } from '../output.ts';

interface Check {
  what: 'primary' | 'replica' | 'unknown';
  name: string;
  up: boolean;
}

interface TestResult {
  cluster: string;
  services: Check[];
  instances: Check[];
}

/** `pgherd test`. */
export function addTest(program: Command): void {
  const command = program
    .command('test')
    .description('Say of each service and instance whether it is up; exit code 1 when one is not')
    .argument('[name]', 'cluster')
    .option('--all', 'all clusters of the namespace');
  withOutput(withConnection(command)).action(testClusters);
  example(command, 'pgherd test demo', 'pgherd test --all -o json');
}

async function testClusters(
  name: string | undefined,
  options: ConnectionOptions & { all?: boolean; output?: string },
): Promise<void> {
  const connection = await connect(options);
  const { client, namespace } = connection;
  const clusters =
    name && !options.all
      ? [await getCluster(client, namespace, name)]
      : (await client.list(ClusterKind, { namespace })).items;
  const results = await Promise.all(clusters.map((cluster) => testOne(connection, cluster)));
  if (options.output === 'json') printJson(results);
  else for (const result of results) for (const line of resultLines(result)) print(line);
  const down = results.some((result) => [...result.services, ...result.instances].some((each) => !each.up));
  if (down) process.exitCode = exitCodes.failed;
}

async function testOne({ client, namespace }: Connection, cluster: ClusterObject): Promise<TestResult> {
  const { name } = cluster.metadata;
  const { rw, ro } = names(name);
  const [pods, lease, services, slices] = await Promise.all([
    instancePods(client, namespace, name),
    leaseRecord(client, namespace, name),
    Promise.all([rw, ro].map((service) => client.find(kinds.Service, { namespace, name: service }))),
    client.list(kinds.EndpointSlice, { namespace }),
  ]);
  const primary = primaryName(cluster, lease);
  const hasReplicas = pods.length > 1;
  const checks = services.flatMap((service, i): Check[] => {
    const what = i === 0 ? 'primary' : 'replica';
    // A cluster of one has nobody behind the service of the replicas, and that is well.
    if (!service || (what === 'replica' && !hasReplicas))
      return service ? [] : [{ what, name: i === 0 ? rw : ro, up: false }];
    const address = `${service.spec?.clusterIP}:${service.spec?.ports?.[0]?.port}`;
    return [{ what, name: address, up: hasEndpoint(slices.items, service.metadata.name) }];
  });
  return {
    cluster: name,
    services: checks,
    instances: pods.map((pod) => ({ what: roleOf(pod, primary), name: pod.metadata.name, up: isReady(pod) })),
  };
}

function roleOf(pod: Pod, primary: string | undefined): Check['what'] {
  if (primary === undefined) return 'unknown';
  return pod.metadata.name === primary ? 'primary' : 'replica';
}

function hasEndpoint(slices: EndpointSlice[], service: string): boolean {
  return slices.some(
    (slice) =>
      slice.metadata.labels?.['kubernetes.io/service-name'] === service &&
      slice.endpoints?.some((each) => each.conditions?.ready !== false),
  );
}

function resultLines({ cluster, services, instances }: TestResult): string[] {
  const line = ({ what, name, up }: Check) =>
    `\t\t${what} (${name}): ${up ? paint('green', 'UP') : paint('red', 'DOWN')}`;
  return [`cluster : ${cluster}`, '\tServices', ...services.map(line), '\tInstances', ...instances.map(line)];
}
