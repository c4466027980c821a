import {
  type Client,
  createQueue,
  type EventRecorder,
  type Log,
  type Queue,
  type QueueOptions,
} from '@pgherd/kube';
import type { Caches } from './caches.ts';
import type { Discovery } from './discovery.ts';

/** What every controller is given. */
export interface Context {
  client: Client;
  caches: Caches;
  discovery: Discovery;
  events: EventRecorder;
  log: Log;
  /** The state folder of local mode. */
  state: string;
  /** Resolves when the caches that the controllers asked for at their start are filled. */
  ready: Promise<void>;
  signal: AbortSignal;
  now(): Date;
}

/** A queue that starts to work once the caches are filled, and retries soon: everything here is on one machine. */
export function workQueue(
  context: Context,
  name: string,
  reconcile: QueueOptions['reconcile'],
  options: Partial<QueueOptions> = {},
): Queue {
  const { log, signal } = context;
  const queue = createQueue({
    name,
    reconcile,
    log,
    minBackoffMs: 20,
    maxBackoffMs: 5_000,
    concurrency: 4,
    ...options,
  });
  context.ready.then(
    () => queue.start(signal),
    () => {},
  );
  return queue;
}

/** `namespace/name`, or the name alone, back in parts. */
export function splitKey(key: string): { namespace: string | undefined; name: string } {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export function keyOf(object: { metadata: { namespace?: string; name: string } }): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}
