/** What the controllers of Operations, Backups and schedules have in common: caches, a queue, and the writing of status. */
import { isDeepStrictEqual } from 'node:util';
import {
  type Cache,
  type Client,
  createCache,
  createEventRecorder,
  createQueue,
  type EventRecorder,
  isKubeError,
  type Kind,
  type KubeObject,
  type Log,
  type Queue,
} from '@pgherd/kube';
import { runQueue } from './run-queue.ts';

/** What the operator's process does with each of its controllers. */
export interface Controller {
  /** Fills the caches; leadership is not needed for it. */
  start(signal: AbortSignal): void;
  synced(): Promise<void>;
  /** Works until `signal`; resolves when the last look has ended. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ControllerOptions {
  client: Client;
  /** Undefined: all namespaces. */
  namespaces: string[] | undefined;
  log: Log;
  /** Name of the operator's pod, for events. */
  instance?: string;
  now?: () => number;
}

export interface KindWork<T> {
  kind: Kind<T & KubeObject>;
  /** Of the queue, in logs and metrics. */
  name: string;
  concurrency: number;
  maxBackoffMs: number;
  /** Objects of one key are looked at together, by one look at a time. */
  keyOf(object: T): string;
  /** Keys to look at first, beside those of the objects that are there. */
  seeds?(): Promise<string[]>;
  reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined>;
  /** What else must be known before anything is judged: what is not known yet would be taken for gone. */
  known?(): Promise<void>;
}

type WithStatus = KubeObject & { status?: object };

export class KindController<T extends WithStatus> implements Controller {
  readonly event: EventRecorder;
  private readonly options: ControllerOptions;
  private readonly work: KindWork<T>;
  private readonly caches: Cache<T>[];
  private queue: Queue | undefined;

  constructor(options: ControllerOptions, work: KindWork<T>) {
    const { client, log, namespaces = [undefined], instance } = options;
    this.options = options;
    this.work = work;
    this.caches = namespaces.map((namespace) =>
      createCache(client, work.kind, { log, ...(namespace ? { namespace } : {}) }),
    );
    this.event = createEventRecorder(client, 'pgherd-operator', { log, ...(instance ? { instance } : {}) });
  }

  start(signal: AbortSignal): void {
    for (const cache of this.caches) {
      cache.onChange((object, old) => this.queue?.add(this.work.keyOf((object ?? old)!)));
      cache.start(signal);
    }
  }

  async synced(): Promise<void> {
    await Promise.all(this.caches.map((cache) => cache.synced()));
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.synced(), this.work.known?.()]);
    const { name, concurrency, maxBackoffMs, keyOf, reconcile } = this.work;
    const { log } = this.options;
    const queue = createQueue({ name, concurrency, maxBackoffMs, log, reconcile });
    this.queue = queue;
    for (const cache of this.caches) for (const object of cache.list()) queue.add(keyOf(object));
    for (const key of (await this.work.seeds?.()) ?? []) queue.add(key);
    await runQueue(queue, this.event, signal);
    this.queue = undefined;
  }

  get(namespace: string, name: string): T | undefined {
    return this.caches.map((cache) => cache.get(namespace, name)).find((object) => object !== undefined);
  }

  list(namespace: string, where: (object: T) => boolean): T[] {
    return this.caches.flatMap((cache) => cache.list({ namespace, where }));
  }

  /**
   * Writes a status that differs; returns the object as it is then. Undefined when it is gone, or somebody else
   * wrote: the cache brings the news, and with it the next look.
   */
  async writeStatus(
    object: T,
    status: NonNullable<T['status']>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    if (isDeepStrictEqual(status, object.status ?? {})) return object;
    try {
      const written = await this.options.client.updateStatus(
        this.work.kind,
        { ...object, status },
        { signal },
      );
      for (const cache of this.caches) cache.absorb(written);
      return written;
    } catch (error) {
      if (isKubeError(error, 'NotFound', 'Conflict')) return undefined;
      throw error;
    }
  }
}
