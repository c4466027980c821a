/** The Lease by the API: uncached reads, compare-and-swap writes, and a watch that is no more than a hint. */
import { CLUSTER_KIND, type LeaseRecord, microTime, names, readLease, writeLease } from '@pgherd/api';
import type { LeaseReadOutcome, LeaseWriteOutcome, WritePurpose } from '@pgherd/ha';
import { type Client, createCache, isKubeError, kinds, type Lease } from '@pgherd/kube';

export interface LeaseClientOptions {
  client: Client;
  namespace: string;
  cluster: string;
  /** Milliseconds since 1970. */
  wall(): number;
  /** UID of the Cluster that this instance is of, as far as it is known. */
  owner(): string | undefined;
}

export class LeaseClient {
  readonly #o: LeaseClientOptions;
  readonly #ref: { namespace: string; name: string };
  /** The object of the last read or write: what a swap is made from. */
  #last: Lease | undefined;
  /** The object that the watch saw last. */
  #seen: Lease | undefined;

  constructor(options: LeaseClientOptions) {
    this.#o = options;
    this.#ref = { namespace: options.namespace, name: names(options.cluster).lease };
  }

  /** Ours went with its Cluster; one of the same name was made since, which this instance has no part in. */
  #isAnothers({ metadata }: Lease): boolean {
    const owner = this.#o.owner();
    const holder = metadata.ownerReferences?.find(({ kind }) => kind === CLUSTER_KIND);
    return owner !== undefined && holder !== undefined && holder.uid !== owner;
  }

  /** A GET without resourceVersion is answered from the store itself, never from a cache. */
  async read(timeoutMs: number): Promise<LeaseReadOutcome> {
    try {
      const lease = await this.#o.client.get(kinds.Lease, this.#ref, { timeoutMs });
      return this.#isAnothers(lease) ? { kind: 'missing' } : this.#found(lease);
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return { kind: 'missing' };
      return { kind: 'failed', message: messageOf(error) };
    }
  }

  /** Swaps the Lease, if it is still at `version`. Sent at most once. */
  async write(
    version: string,
    purpose: WritePurpose,
    record: LeaseRecord,
    o: { timeoutMs: number; takeMs: number },
  ): Promise<LeaseWriteOutcome> {
    const base = [this.#last, this.#seen].find((each) => each?.metadata.resourceVersion === version);
    if (!base) return { kind: 'conflict' };
    const stamp = microTime(this.#o.wall());
    const stamped: LeaseRecord = { ...record };
    if (purpose !== 'release') stamped.renewTime = stamp;
    if (purpose === 'take') stamped.acquireTime = stamp;
    if (stamped.handover) stamped.handover = { ...stamped.handover, at: stamp };
    const object = writeLease(base, stamped, Math.ceil(o.takeMs / 1000));
    try {
      const written = await this.#o.client.update(kinds.Lease, object as Lease, {
        timeoutMs: o.timeoutMs,
        retry: false,
      });
      const found = this.#found(written);
      return found.kind === 'found'
        ? { ...found, kind: 'ok' }
        : { kind: 'unknown', message: 'unreadable answer' };
    } catch (error) {
      if (isKubeError(error, 'Conflict', 'NotFound')) return { kind: 'conflict' };
      return { kind: 'unknown', message: messageOf(error) };
    }
  }

  /** Calls `hint` whenever the watch sees a change of the Lease (nothing: it is gone). */
  watch(signal: AbortSignal, hint: (seen: { version?: string; record?: LeaseRecord }) => void): void {
    const cache = createCache(this.#o.client, kinds.Lease, {
      namespace: this.#ref.namespace,
      fieldSelector: `metadata.name=${this.#ref.name}`,
    });
    cache.onChange((found) => {
      const lease = found && this.#isAnothers(found) ? undefined : found;
      this.#seen = lease;
      const version = lease?.metadata.resourceVersion;
      const record = lease && recordIn(lease);
      hint({ ...(version ? { version } : {}), ...(record ? { record } : {}) });
    });
    cache.start(signal);
  }

  #found(lease: Lease): LeaseReadOutcome {
    try {
      const record = readLease(lease);
      this.#last = lease;
      return { kind: 'found', version: lease.metadata.resourceVersion ?? '', record };
    } catch (error) {
      return { kind: 'failed', message: messageOf(error) };
    }
  }
}

/** Undefined when it cannot be read. */
function recordIn(lease: Lease): LeaseRecord | undefined {
  try {
    return readLease(lease);
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
