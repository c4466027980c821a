/** `npm start`: from nothing to a failover that one sees. */
import { join } from 'node:path';
import type { Client } from '@pgherd/kube';
import type { LocalInfo } from '@pgherd/local';
import { parse } from 'yaml';
import { type Access, accessFromHost } from '../access.ts';
import { CliError } from '../errors.ts';
import { ClusterKind, type ClusterObject } from '../kinds.ts';
import { bringUp } from '../local-mode.ts';
import { type Progress, paint, print, startProgress } from '../output.ts';
import { programText } from '../programs/files.ts';
import { waitUntilReady } from '../ready.ts';
import { type FailoverResult, showFailover } from './failover.ts';
import { connectionString, writeClientFiles } from './files.ts';
import { loadPgbench } from './load.ts';
import { onlyOne } from './one-at-a-time.ts';

const NODES = 3;
const READY_MS = 180_000;

/** Runs the demo in a state folder; the cluster goes on running afterwards. */
export async function runDemo(state: string): Promise<void> {
  // Two writers on one table, each with its own kill, would measure nothing.
  await onlyOne(state);
  print(
    paint('bold', 'pgherd: three PostgreSQL instances on three virtual nodes, and the death of a primary'),
  );
  const { client, info } = await step('Starting local mode', async (progress) => {
    const world = await bringUp({ state, nodes: NODES, onProgress: progress.update });
    const found = world.info.alreadyRunning ? 'ran already' : 'runs';
    return {
      ...world,
      said: `Local mode ${found}: ${world.info.nodes.length} nodes, API at ${world.info.server}`,
    };
  });
  await showAll(state, client, info);
}

async function showAll(state: string, client: Client, info: LocalInfo): Promise<void> {
  const cluster = await step('Applying examples/cluster.yaml', (progress) => makeCluster(client, progress));
  const namespace = cluster.metadata.namespace ?? 'default';
  const name = cluster.metadata.name;
  const access = await accessFromHost(client, state, namespace, name);
  const files = writeClientFiles(join(state, 'client', namespace, name), access);
  const psql = connectionString(access, files);
  await step('Loading data with pgbench', async () => ({ said: await loadPgbench(psql, access) }));
  const result = await showFailover({ client, namespace, name, access });
  await step('Waiting until all three are well again', async (progress) => {
    const ready = await waitUntilReady(client, namespace, name, {
      timeoutMs: READY_MS,
      onProgress: progress.update,
    });
    return {
      said: `Ready again: ${ready.status?.readyInstances} instances, primary ${ready.status?.currentPrimary}`,
    };
  });
  showResult(result);
  showPage({ psql, kubeconfig: info.kubeconfig, name, namespace, access });
  if (result.missing.length > 0)
    throw new CliError('failed', 'Acknowledged writes are missing: this must never be.');
}

/** Runs one step with its progress line. */
async function step<T extends { said: string }>(
  text: string,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  const progress = startProgress(text);
  try {
    const result = await work(progress);
    progress.done(result.said);
    return result;
  } catch (error) {
    progress.fail(text);
    throw error;
  }
}

async function makeCluster(client: Client, progress: Progress): Promise<ClusterObject & { said: string }> {
  const manifest = parse(await programText('cluster.yaml')) as ClusterObject;
  const namespace = manifest.metadata.namespace ?? 'default';
  const name = manifest.metadata.name;
  const started = performance.now();
  const there = await client.find(ClusterKind, { namespace, name });
  if (!there) {
    manifest.metadata.namespace = namespace;
    await client.create(ClusterKind, manifest, { fieldManager: 'pgherd', fieldValidation: 'Strict' });
  }
  const ready = await waitUntilReady(client, namespace, name, {
    timeoutMs: READY_MS,
    everyMs: 100,
    onProgress: progress.update,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const primary = ready.status?.currentPrimary;
  const how = there ? 'was there already' : `is ready after ${seconds} s`;
  return {
    ...ready,
    said: `Cluster ${name} ${how}: ${ready.status?.readyInstances} instances, primary ${primary}`,
  };
}

function showResult(result: FailoverResult): void {
  print();
  print(`Write outage          ${paint('bold', `${(result.outageMs / 1000).toFixed(2)} s`)}`);
  print(`Acknowledged writes   ${result.acknowledged}`);
  const missing = result.missing.length;
  print(`  of them missing     ${paint(missing === 0 ? 'green' : 'red', String(missing))}`);
}

interface Page {
  psql: string;
  kubeconfig: string;
  name: string;
  namespace: string;
  access: Access;
}

/** The page at the end: what one can do now. */
function showPage({ psql, kubeconfig, name, access }: Page): void {
  print();
  print(paint('bold', `The cluster ${name} goes on running. To use it:`));
  print();
  print(`  psql "${psql}"`);
  print();
  print(`  Address 127.0.0.1:${access.port}, database ${access.database}, user ${access.user}`);
  print();
  print(paint('bold', 'To look at it:'));
  print();
  print(`  export KUBECONFIG=${kubeconfig}`);
  print(`  kubectl get clusters,pods -o wide`);
  print(`  npx pgherd status ${name}`);
  print(`  npx pgherd logs ${name} -f`);
  print();
  print(paint('bold', 'To stop it:'));
  print();
  print('  npm run stop     stops everything and keeps the data; npm start goes on');
  print('  npm run reset    deletes everything, after asking');
}
