import type { AnyObject, KubeObject } from './objects.ts';

/** Passed to every call. */
export interface CallOptions {
  signal?: AbortSignal;
  /** Milliseconds until KubeError `Timeout`; default 15 000. Covers retries too. */
  timeoutMs?: number;
  /** False: exactly one request goes out, whatever happens to it. */
  retry?: boolean;
}

export interface ObjectRef {
  namespace?: string;
  name: string;
}

export interface Selectors {
  /** All namespaces if missing. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface ListOptions extends Selectors, CallOptions {
  /** Objects a page; all pages are read unless `onePage`. */
  limit?: number;
  continue?: string;
  onePage?: boolean;
  resourceVersion?: string;
}

export interface WriteOptions extends CallOptions {
  fieldManager?: string;
  dryRun?: boolean;
  fieldValidation?: 'Strict' | 'Warn' | 'Ignore';
}

export interface PatchRequest extends WriteOptions {
  type: 'merge' | 'strategic' | 'json' | 'apply';
  body: unknown;
  subresource?: string;
  /** With `apply`: take fields over from other managers. */
  force?: boolean;
}

export interface DeleteOptions extends CallOptions {
  propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: boolean;
}

export interface WatchOptions extends Selectors {
  /** Start after this version; missing: synthetic ADDED for all that exists, then changes. */
  resourceVersion?: string;
  /** Seconds after which the server ends the watch. */
  timeoutSeconds?: number;
  /** Default true. */
  bookmarks?: boolean;
  /** Called once the server has accepted the watch. */
  onOpen?: () => void;
  signal?: AbortSignal;
}

export type WatchEvent<T extends KubeObject = AnyObject> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: T };

/** What our code wants of a logger; pino's loggers and `silent` fit. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
