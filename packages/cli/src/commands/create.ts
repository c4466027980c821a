import type { Command } from 'commander';
import { Option } from 'commander';
import { stringify } from 'yaml';
import { type ConnectionOptions, connect } from '../connection.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { type ManifestFlags, manifestOf } from '../manifest.ts';
import { example, timeoutOption, whole, withConnection } from '../options.ts';
import { print, printJson, startProgress } from '../output.ts';
import { waitUntilReady } from '../ready.ts';

interface CreateOptions extends ConnectionOptions, ManifestFlags {
  dryRun?: boolean;
  output?: string;
  wait: boolean;
  timeout: number;
}

/** `pgherd create cluster`. */
export function addCreate(program: Command): void {
  const parent = program.command('create').description('Create something');
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
  );
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

async function createCluster(name: string, options: CreateOptions): Promise<void> {
  if (options.dryRun)
    return show(manifestOf(name, options.namespace ?? 'default', options), options.output ?? 'yaml');
  const { client, namespace } = await connect(options);
  const manifest = manifestOf(name, namespace, options) as ClusterObject;
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

function show(value: unknown, format: string): void {
  if (format === 'json') printJson(value);
  else process.stdout.write(stringify(value));
}
