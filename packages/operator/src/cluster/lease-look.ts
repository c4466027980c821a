/** Looks at all Leases of clusters at once, every few seconds. */
import { LABEL_CLUSTER } from '@pgherd/api';
import { type Client, kinds, type Lease, type Log } from '@pgherd/kube';
import type { ClusterCaches } from './caches.ts';

export interface LeaseLookOptions {
  client: Client;
  sets: ClusterCaches[];
  namespaces: (string | undefined)[];
  log: Log;
  /** The Lease of this cluster has another holder, or is gone. */
  onChange: (key: string) => void;
  everyMs?: number;
}

/** Well within the time after which a primary without its Lease stops (six seconds). */
const EVERY_MS = 3_000;

/**
 * A watch of Leases would bring each renewal of each cluster; one list every three seconds tells as well that a
 * Lease was deleted by hand or has changed hands.
 */
export function createLeaseLook(options: LeaseLookOptions): { start(signal: AbortSignal): void } {
  const { client, sets, namespaces, log, onChange, everyMs = EVERY_MS } = options;
  const holders = new Map<string, string>();

  function take(leases: Lease[]): void {
    const found = new Map(leases.map((lease) => [keyOf(lease), holderOf(lease)]));
    for (const { clusters } of sets)
      for (const { metadata } of clusters.list()) {
        const key = `${metadata.namespace}/${metadata.name}`;
        const holder = found.get(key) ?? 'none';
        if (holders.get(key) !== holder && (holders.has(key) || holder === 'none')) onChange(key);
        holders.set(key, holder);
      }
  }

  async function look(signal: AbortSignal): Promise<void> {
    if (!sets.some(({ clusters }) => clusters.list().length > 0)) return holders.clear();
    const list = (namespace: string | undefined) =>
      client.list(kinds.Lease, { namespace, labelSelector: LABEL_CLUSTER, signal, timeoutMs: everyMs });
    const lists = await Promise.all(namespaces.map(list));
    take(lists.flatMap(({ items }) => items));
  }

  return {
    start(signal) {
      let busy = false;
      const timer = setInterval(() => {
        if (busy) return;
        busy = true;
        look(signal)
          .catch((error) => log.debug({ error: String(error) }, 'the Leases could not be listed'))
          .finally(() => {
            busy = false;
          });
      }, everyMs);
      signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    },
  };
}

function keyOf({ metadata }: Lease): string {
  return `${metadata.namespace}/${metadata.labels?.[LABEL_CLUSTER]}`;
}

function holderOf({ spec }: Lease): string {
  return `${spec.holderIdentity ?? ''} ${spec.leaseTransitions ?? 0}`;
}
