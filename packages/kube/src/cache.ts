import { Backoff, pause } from './backoff.ts';
import type { Client } from './client.ts';
import { isKubeError, KubeError, type KubeErrorCode } from './errors.ts';
import type { Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import { hasLabels } from './selectors.ts';
import { keyOf, Store } from './store.ts';
import { type Log, type Selectors, silent, type WatchEvent } from './types.ts';

export interface CacheOptions<T extends KubeObject> extends Selectors {
  /** Name of an index → the keys under which an object is found in it. */
  indexes?: Record<string, (object: T) => string[]>;
  log?: Log;
  /** First and longest wait between failed attempts, in milliseconds (default 100 and 5 000). */
  minBackoffMs?: number;
  maxBackoffMs?: number;
  /** After this long without an event or bookmark the watch is opened again (default 150 000). */
  silenceMs?: number;
}

export interface CacheFilter<T> {
  namespace?: string;
  /** All of these labels must match. */
  labels?: Record<string, string>;
  where?: (object: T) => boolean;
}

export interface CacheStats {
  lists: number;
  watches: number;
  events: number;
  /** Since when the cache has had no working watch (performance.now()), undefined while it has. */
  behindSince: number | undefined;
  /** Since when it has been up to date without a gap, undefined while it is not. */
  currentSince: number | undefined;
}

/** A copy of a collection, kept up by a watch. Objects in it are shared: never change one. */
export interface Cache<T extends KubeObject> {
  readonly kind: Kind<T>;
  readonly stats: Readonly<CacheStats>;
  /** Starts; ends with `signal`. Errors are logged and tried again for ever. */
  start(signal: AbortSignal): void;
  /** Resolves when the first list is in; rejects when the signal of start() is aborted before. */
  synced(): Promise<void>;
  get(namespace: string | undefined, name: string): T | undefined;
  list(filter?: CacheFilter<T>): T[];
  byIndex(index: string, key: string): T[];
  /**
   * Calls back after each change: (new, undefined) added, (new, old) changed, (undefined, old) gone.
   * Objects already there are told at once. Returns the way to stop.
   */
  onChange(callback: (object: T | undefined, old: T | undefined) => void): () => void;
  /** Takes the answer of one's own write in before the watch brings it, so that the next look sees it. */
  absorb(object: T): void;
}

/** Kubernetes ends a watch after 5 to 10 minutes unless told; ours end apart from each other. */
const WATCH_SECONDS = 300;

/** A cache of a kind. One for each (kind, selectors) is enough for a whole process. */
export function createCache<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  options: CacheOptions<T> = {},
): Cache<T> {
  return new WatchCache(client, kind, options);
}

class WatchCache<T extends KubeObject> implements Cache<T> {
  readonly kind: Kind<T>;
  readonly stats: CacheStats = {
    lists: 0,
    watches: 0,
    events: 0,
    behindSince: performance.now(),
    currentSince: undefined,
  };
  private readonly client: Client;
  private readonly options: CacheOptions<T>;
  private readonly log: Log;
  private readonly store: Store<T>;
  private readonly callbacks = new Set<(object: T | undefined, old: T | undefined) => void>();
  private readonly ready = Promise.withResolvers<void>();
  private readonly backoff: Backoff;
  /** The version up to which this cache has seen everything. Undefined: a list is due. */
  private version: string | undefined;
  private started = false;

  constructor(client: Client, kind: Kind<T>, options: CacheOptions<T>) {
    this.client = client;
    this.kind = kind;
    this.options = options;
    this.log = options.log ?? silent;
    this.store = new Store(options.indexes ?? {});
    this.backoff = new Backoff(options.minBackoffMs ?? 100, options.maxBackoffMs ?? 5_000);
    // Who does not wait for the first list does not want to hear of its absence either.
    this.ready.promise.catch(() => {});
  }

  start(signal: AbortSignal): void {
    if (this.started) return;
    this.started = true;
    this.run(signal).finally(() => this.ready.reject(signal.reason));
  }

  synced(): Promise<void> {
    return this.ready.promise;
  }

  get(namespace: string | undefined, name: string): T | undefined {
    return this.store.get(keyOf(namespace, name));
  }

  list(filter: CacheFilter<T> = {}): T[] {
    const { namespace, labels, where } = filter;
    let found = namespace === undefined ? this.store.all() : this.store.inNamespace(namespace);
    if (labels) found = found.filter((object) => hasLabels(object.metadata.labels, labels));
    return where ? found.filter(where) : found;
  }

  byIndex(index: string, key: string): T[] {
    return this.store.byIndex(index, key);
  }

  onChange(callback: (object: T | undefined, old: T | undefined) => void): () => void {
    this.callbacks.add(callback);
    for (const object of this.store.all()) this.call(callback, object, undefined);
    return () => this.callbacks.delete(callback);
  }

  absorb(object: T): void {
    if (this.version === undefined) return;
    // What the watch has passed already it knows better: this may have been changed or deleted since.
    if (!newer(object.metadata.resourceVersion, this.version)) return;
    const known = this.store.get(keyOf(object.metadata.namespace, object.metadata.name));
    if (known && !newer(object.metadata.resourceVersion, known.metadata.resourceVersion)) return;
    this.put(object);
  }

  private async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.version === undefined) await this.relist(signal);
        await this.follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.stats.behindSince ??= performance.now();
        this.stats.currentSince = undefined;
        if (needsList(error)) this.version = undefined;
        const asked = isKubeError(error) ? (error.retryAfterMs ?? 0) : 0;
        const waitMs = Math.round(Math.max(asked, this.backoff.next()));
        const fields = { kind: this.kind.kind, error: String(error), waitMs };
        if (isKubeError(error, 'Forbidden', 'Unauthorized', 'NotFound'))
          this.log.warn(fields, 'cannot watch');
        else this.log.debug(fields, 'watching again after an error');
        await pause(waitMs, signal);
      }
    }
  }

  private async relist(signal: AbortSignal): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.options;
    this.stats.lists++;
    const list = await this.client.list(this.kind, {
      namespace,
      labelSelector,
      fieldSelector,
      signal,
      timeoutMs: 60_000,
    });
    const gone = new Set(this.store.keys());
    for (const object of list.items) {
      gone.delete(keyOf(object.metadata.namespace, object.metadata.name));
      this.put(object);
    }
    for (const key of gone) this.remove(key);
    this.version = list.metadata.resourceVersion;
    this.ready.resolve();
  }

  private async follow(signal: AbortSignal): Promise<void> {
    const { namespace, labelSelector, fieldSelector } = this.options;
    const silence = new AbortController();
    const silenceMs = this.options.silenceMs ?? 150_000;
    const timer = setTimeout(() => silence.abort(), silenceMs);
    this.stats.watches++;
    const began = performance.now();
    try {
      const events = this.client.watch(this.kind, {
        namespace,
        labelSelector,
        fieldSelector,
        resourceVersion: this.version,
        timeoutSeconds: Math.round(WATCH_SECONDS * (1 + Math.random())),
        signal: AbortSignal.any([signal, silence.signal]),
        onOpen: () => this.current(),
      });
      for await (const event of events) {
        timer.refresh();
        this.backoff.reset();
        this.take(event);
      }
    } finally {
      clearTimeout(timer);
    }
    // A server that ends each watch at once must not be asked in a circle.
    if (performance.now() - began < 1_000) await pause(this.backoff.next(), signal);
    else this.backoff.reset();
  }

  private current(): void {
    this.stats.behindSince = undefined;
    this.stats.currentSince ??= performance.now();
  }

  private take(event: WatchEvent<T>): void {
    this.stats.events++;
    const { metadata } = event.object;
    if (event.type === 'DELETED') this.remove(keyOf(metadata.namespace, metadata.name));
    else if (event.type !== 'BOOKMARK') this.put(event.object);
    if (metadata.resourceVersion) this.version = metadata.resourceVersion;
  }

  private put(object: T): void {
    const key = keyOf(object.metadata.namespace, object.metadata.name);
    const old = this.store.get(key);
    if (old?.metadata.uid === object.metadata.uid) {
      if (old && old.metadata.resourceVersion === object.metadata.resourceVersion) return;
      this.store.set(key, object);
      this.tell(object, old);
      return;
    }
    // Deleted and made again while we were not looking: two different objects.
    if (old) this.remove(key);
    this.store.set(key, object);
    this.tell(object, undefined);
  }

  private remove(key: string): void {
    const old = this.store.get(key);
    if (!old) return;
    this.store.delete(key);
    this.tell(undefined, old);
  }

  private tell(object: T | undefined, old: T | undefined): void {
    for (const callback of this.callbacks) this.call(callback, object, old);
  }

  /** A callback that fails must not stop the cache for the others. */
  private call(
    callback: (object: T | undefined, old: T | undefined) => void,
    object: T | undefined,
    old: T | undefined,
  ): void {
    try {
      callback(object, old);
    } catch (error) {
      this.log.error({ kind: this.kind.kind, error }, 'a callback of a cache failed');
    }
  }
}

/** The last is the server's own: what it could not read or send at this version it may never be able to. */
const NEEDS_LIST: KubeErrorCode[] = ['Gone', 'BadRequest', 'Protocol', 'ServerError'];

/** Errors after which the version we have is of no more use. */
function needsList(error: unknown): boolean {
  if (!(error instanceof KubeError)) return true;
  if (NEEDS_LIST.includes(error.code)) return true;
  // The server is behind us: its store was restored from an older copy.
  return error.details?.causes?.some((cause) => cause.reason === 'ResourceVersionTooLarge') ?? false;
}

/** Versions are decimal numbers that rise with each write; what is not a number is newer, to be safe. */
function newer(a: string | undefined, b: string | undefined): boolean {
  if (!a || !b) return true;
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return a !== b;
  return BigInt(a) > BigInt(b);
}
