/**
 * The agent of one virtual node, what the kubelet is elsewhere: runs in the node's network namespace, watches the
 * pods that are bound to the node and keeps them. Its end harms no pod: the shims hold those.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Client, createCache, createEventRecorder, kinds, type Pod } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { componentLog } from '../log.ts';
import { linkAddresses } from '../net/addresses.ts';
import { isAlive } from '../net/processes.ts';
import { readShimState } from '../shim/client.ts';
import { readCgroups, readConfig, type StateLayout, stateLayout } from '../state.ts';
import { AddressPool } from './addresses.ts';
import type { NodeContext } from './context.ts';
import { NodeRegistration } from './node.ts';
import { ObjectWatcher } from './objects.ts';
import { hasManyIds } from './sandbox-args.ts';
import { serveAgent } from './server.ts';
import { PodWorker } from './worker.ts';

/** A pod that cannot be told about must not keep its node away. */
const TOLD_MS = 2000;

const { values } = parseArgs({ options: { state: { type: 'string' }, node: { type: 'string' } } });
const layout = stateLayout(values.state!);
const node = values.node!;
const log = componentLog(`agent-${node}`);
process.on('uncaughtException', (error) => {
  log.error({ error: error.stack }, 'unexpected');
  process.exit(1);
});

const config = readConfig(layout)?.nodes.find(({ name }) => name === node);
if (!config) throw new Error(`node ${node} is not in ${layout.config}`);
mkdirSync(layout.pods, { recursive: true, mode: 0o711 });

const kubeconfig = await loadKubeconfig({ path: layout.node(node).kubeconfig });
const client = new Client({ ...kubeconfig, userAgent: `pgherd-agent/${node}` });
const pods = createCache(client, kinds.Pod, {
  fieldSelector: `spec.nodeName=${node}`,
  log,
  minBackoffMs: 50,
  maxBackoffMs: 1000,
});
const found = podsOnDisk(layout, node);
const addresses = new AddressPool(
  config.index,
  layout.node(node).dir,
  found.map(({ ip }) => ip).filter((ip) => ip !== undefined),
);
const workers = new Map<string, PodWorker>();
const context: NodeContext = {
  layout,
  node,
  nodeIP: linkAddresses(config.index).node,
  root: hasManyIds(),
  cgroups: readCgroups(layout),
  client,
  pods,
  objects: new ObjectWatcher(client, log),
  event: createEventRecorder(client, 'kubelet', { log, instance: node }),
  log,
  allocateIP: () => addresses.allocate(),
  releaseIP: (ip) => addresses.release(ip),
  onGone: (uid) => workers.delete(uid),
};

serveAgent(layout, node, (namespace, name) =>
  [...workers.values()].findLast((worker) => worker.name === `${namespace}/${name}`),
);
// Pods that live are kept from the first moment, whether the API answers or not.
for (const { pod } of found) workers.set(pod.metadata.uid!, new PodWorker(context, pod));
const registration = new NodeRegistration(client, config, log);
const ended = new AbortController();
pods.start(ended.signal);
pods.onChange((pod, old) => changed(pod, old));
await pods.synced();
for (const [uid, worker] of workers) {
  const { metadata } = worker.current.pod;
  if (pods.get(metadata.namespace, metadata.name)?.metadata.uid !== uid) worker.deleted();
}
// A node that says that it is ready has told how its pods are.
const told = Promise.all([...workers.values()].map((worker) => worker.told()));
await Promise.race([told, new Promise((resolve) => setTimeout(resolve, TOLD_MS))]);
await registration.start();
log.info({ node }, 'ready');

function changed(pod: Pod | undefined, old: Pod | undefined): void {
  // A pod of the same name may have taken another's place in one step.
  if (old && old.metadata.uid !== pod?.metadata.uid) workers.get(old.metadata.uid!)?.deleted();
  if (!pod) return;
  const uid = pod.metadata.uid!;
  const worker = workers.get(uid);
  // Ended here already; somebody's finalizer keeps the object.
  if (!worker && pod.metadata.deletionGracePeriodSeconds === 0 && !existsSync(layout.pod(uid).dir)) return;
  if (worker) worker.update(pod);
  else workers.set(uid, new PodWorker(context, pod));
}

function podsOnDisk(state: StateLayout, name: string): { pod: Pod; ip?: string }[] {
  if (!existsSync(state.pods)) return [];
  return readdirSync(state.pods).flatMap((uid) => {
    const paths = state.pod(uid);
    try {
      const pod = JSON.parse(readFileSync(paths.pod, 'utf8')) as Pod;
      if (pod.spec.nodeName !== name) return [];
      const shim = readShimState(paths.shim);
      return [{ pod, ip: shim && isAlive(shim.shim) ? shim.ip : undefined }];
    } catch {
      // Its agent was killed between making the folder and writing the file: nothing was started.
      return [];
    }
  });
}
