import type { Client } from './client.ts';
import type { Kind } from './kinds.ts';
import type { KubeObject } from './objects.ts';
import type { Log, Selectors } from './types.ts';

export interface CacheOptions<T extends KubeObject> extends Selectors {
  /** Name of an index → the keys under which an object is found in it. */
  indexes?: Record<string, (object: T) => string[]>;
  log?: Log;
  /** First and longest wait between failed attempts, in milliseconds (default 100 and 10 000). */
  minBackoffMs?: number;
  maxBackoffMs?: number;
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

/** A cache of a kind. One for each (kind, selectors) is enough for a whole process. */
export declare function createCache<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  options?: CacheOptions<T>,
): Cache<T>;
