import type { Client, EventRecorder, Log } from '@pgherd/kube';
import { Caches } from './caches.ts';
import type { Context } from './context.ts';
import { startCronJobs } from './cronjobs.ts';
import { startDeployments } from './deployments.ts';
import { Discovery } from './discovery.ts';
import { startDisruption } from './disruption.ts';
import { startEndpoints } from './endpoints.ts';
import { startEndpointSlices } from './endpointslices.ts';
import { startGarbageCollection } from './garbage.ts';
import { startJobs } from './jobs.ts';
import { startNamespaces } from './namespaces.ts';
import { startNodes } from './nodes.ts';
import { startReplicaSets } from './replicasets.ts';
import { startScheduler } from './scheduler.ts';
import { startServiceAccounts } from './serviceaccounts.ts';
import { startVolumes } from './volumes.ts';

export interface ControllersOptions {
  client: Client;
  events: EventRecorder;
  log: Log;
  /** The state folder of local mode. */
  state: string;
  signal: AbortSignal;
  now?: () => Date;
}

const CONTROLLERS = [
  startEndpointSlices,
  startEndpoints,
  startServiceAccounts,
  startScheduler,
  startVolumes,
  startReplicaSets,
  startDeployments,
  startJobs,
  startCronJobs,
  startDisruption,
  startNodes,
  startNamespaces,
  startGarbageCollection,
];

/** Starts all built-in controllers; resolves when their caches are filled and they work. */
export function startControllers(options: ControllersOptions): Promise<void> {
  const { client, log, signal } = options;
  const caches = new Caches(client, signal, log);
  const filled = Promise.withResolvers<void>();
  const context: Context = {
    now: () => new Date(),
    ...options,
    caches,
    discovery: new Discovery(client),
    ready: filled.promise,
  };
  for (const start of CONTROLLERS) start(context);
  caches.synced().then(filled.resolve, filled.reject);
  return filled.promise;
}
