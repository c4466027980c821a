import { type Cluster, validateCluster } from '@pgherd/api';
import { isKubeError, type KubeObject, kinds } from '@pgherd/kube';
import type { Command } from 'commander';
import { Option } from 'commander';
import { stringify } from 'yaml';
import { type ConnectionOptions, connect } from '../connection.ts';
import { CUSTOM_KEYS, type CustomConfig, customConfigOf } from '../custom-config.ts';
import { CliError } from '../errors.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { type ManifestFlags, manifestOf } from '../manifest.ts';
import { example, timeoutOption, whole, withConnection } from '../options.ts';
import { print, printJson, startProgress } from '../output.ts';
import { waitUntilReady } from '../ready.ts';
import { addCreateSchedule } from './create-schedule.ts';

interface CreateOptions extends ConnectionOptions, ManifestFlags {
  customConfig?: string;
  dryRun?: boolean;
  output?: string;
  wait: boolean;
  timeout: number;
}

/** `pgherd create cluster`. */
export function addCreate(program: Command): void {
  const parent = program.command('create').description('Create something');
  addCreateSchedule(parent);
  const command = parent
    .command('cluster')
    .description('Create a cluster and wait until it is ready')
    .argument('<name>', 'name of the new cluster')
    .option('--instances <count>', 'one primary, the others replicas (default: 3)', whole(1))
    .option('--image <name>', 'image of PostgreSQL')
    .option('--storage <size>', 'size of the data volume of each instance', '1Gi')
    .option('--wal-storage <size>', 'a volume of its own for WAL, of this size')
    .option('--storage-class <name>', 'StorageClass of the volumes')
    .option('--parameter <name=value>', 'a parameter of PostgreSQL; may be given several times', collect)
    .option('--sync <rule>', 'replicas that must confirm a commit: 1, any:2, first:1, any:1,preferred')
    .option('--database <name>', 'application database (default: app)')
    .option('--owner <name>', 'role that owns it (default: as the database)')
    .option(
      '--custom-config <configmap>',
      `ConfigMap of the namespace with ${CUSTOM_KEYS.slice(0, -1).join(', ')} or ${CUSTOM_KEYS.at(-1)}`,
    )
    .option('--dry-run', 'print the manifest, create nothing')
    .addOption(
      new Option('-o, --output <format>', 'print the manifest or the cluster').choices(['json', 'yaml']),
    )
    .option('--no-wait', 'return at once')
    .addOption(timeoutOption('how long to wait for it to be ready', '5m'));
  withConnection(command).action(createCluster);
  example(
    command,
    'pgherd create cluster demo --storage 1Gi --sync 1',
    'pgherd create cluster demo --dry-run -o yaml > demo.yaml',
    'pgherd create cluster demo --custom-config demo-config',
  );
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

async function createCluster(name: string, options: CreateOptions): Promise<void> {
  const custom = options.customConfig ? await readCustom(options.customConfig, options) : undefined;
  if (options.dryRun) {
    const manifest = checked(manifestOf(name, options.namespace ?? 'default', options, custom));
    return show(manifest, options.output ?? 'yaml');
  }
  const { client, namespace } = await connect(options);
  const manifest = checked(manifestOf(name, namespace, options, custom));
  const created = await client.create(ClusterKind, manifest, {
    fieldManager: 'pgherd',
    fieldValidation: 'Strict',
  });
  if (!options.wait) {
    if (options.output) return show(created, options.output);
    return print(`cluster ${name} created`);
  }
  const progress = startProgress(`Cluster ${name} is created`);
  try {
    const ready = await waitUntilReady(client, namespace, name, {
      timeoutMs: options.timeout,
      onProgress: progress.update,
    });
    progress.done(
      `Cluster ${name} is ready: ${ready.status?.readyInstances} instances, primary ${ready.status?.currentPrimary}`,
    );
    if (options.output) show(ready, options.output);
  } catch (error) {
    progress.fail(`Cluster ${name} is not ready`);
    throw error;
  }
}

async function readCustom(name: string, options: ConnectionOptions): Promise<CustomConfig> {
  const { client, namespace } = await connect(options);
  try {
    const { data } = await client.get(kinds.ConfigMap, { namespace, name });
    return customConfigOf(name, data ?? {});
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
    throw new CliError('notFound', `There is no ConfigMap ${name} in namespace ${namespace}.`, {
      hint: `Make it with: kubectl create configmap ${name} -n ${namespace} --from-file=postgresql.conf`,
    });
  }
}

/** What the API server would refuse is refused here as well, so that a dry run tells. */
function checked(manifest: KubeObject): ClusterObject {
  const problems = validateCluster(manifest as unknown as Cluster);
  if (problems.length > 0) {
    const list = problems.map(({ field, message }) => `${field}: ${message}`).join('\n  ');
    throw new CliError('refused', `This cluster would be refused:\n  ${list}`);
  }
  return manifest as ClusterObject;
}

function show(value: unknown, format: string): void {
  if (format === 'json') printJson(value);
  else process.stdout.write(stringify(value));
}
