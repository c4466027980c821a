import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from './config.ts';
import { errorFromStatus, isKubeError, KubeError } from './errors.ts';
import { apiVersionOf, type Kind } from './kinds.ts';
import type { AnyObject, KubeList, KubeObject } from './objects.ts';
import { PeerClock } from './peer-clock.ts';
import { readBody, Transport } from './transport.ts';
import type {
  CallOptions,
  DeleteOptions,
  ListOptions,
  ObjectRef,
  PatchRequest,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from './types.ts';
import { watchEvents } from './watch.ts';

const DEFAULT_TIMEOUT_MS = 15_000;
const PAGE = 500;

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  // JSON is YAML.
  apply: 'application/apply-patch+yaml',
} as const;

export interface Request extends CallOptions {
  method?: string;
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** An object is sent as JSON. */
  body?: unknown;
  contentType?: string;
  headers?: Record<string, string>;
  /** For error messages. */
  doing?: string;
  /** On a connection of its own, which ends with the answer. */
  ownConnection?: boolean;
}

/** A connection to one API server. Every failure is a KubeError. Safe to share. */
export class Client {
  readonly config: ClientConfig;
  /** Requests sent since the start, retries included; watches count once each. */
  requests = 0;
  /** The API server's: what times in objects are compared with. */
  readonly clock = new PeerClock();
  private readonly transport: Transport;

  constructor(config: ClientConfig) {
    this.config = config;
    this.transport = new Transport(config);
  }

  /** Reads one object; KubeError `NotFound` when there is none. */
  async get<T extends KubeObject>(kind: Kind<T>, ref: ObjectRef, options: CallOptions = {}): Promise<T> {
    const doing = `reading ${kind.kind} ${show(ref)}`;
    return this.object<T>({ ...options, path: objectPath(kind, ref), doing });
  }

  /** Reads one object; undefined when there is none. */
  async find<T extends KubeObject>(
    kind: Kind<T>,
    ref: ObjectRef,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.get(kind, ref, options);
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  /** The same by a list of one: for who may list and watch objects of this kind, but has no other use for `get`. */
  async findListed<T extends KubeObject>(
    kind: Kind<T>,
    { namespace, name }: ObjectRef,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    const fieldSelector = `metadata.name=${name}`;
    const { items } = await this.list(kind, {
      ...options,
      ...(namespace ? { namespace } : {}),
      fieldSelector,
    });
    return items[0];
  }

  /** Reads all objects that match, page by page. */
  async list<T extends KubeObject>(kind: Kind<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const {
      namespace,
      labelSelector,
      fieldSelector,
      limit = PAGE,
      onePage,
      resourceVersion,
      ...call
    } = options;
    const doing = `listing ${kind.plural}${namespace ? ` in ${namespace}` : ''}`;
    const items: T[] = [];
    let next = options.continue;
    for (;;) {
      const query = { labelSelector, fieldSelector, limit, continue: next, resourceVersion };
      const page = await this.json<KubeList<T>>({
        ...call,
        path: collectionPath(kind, namespace),
        query,
        doing,
      });
      for (const item of page.items ?? []) items.push(named(kind, item));
      next = page.metadata.continue;
      if (!next || onePage) return { items, metadata: page.metadata };
    }
  }

  /** Creates an object and returns it as stored; `AlreadyExists` when there is one of that name. */
  async create<T extends KubeObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { metadata } = object;
    return this.object<T>({
      ...options,
      method: 'POST',
      path: collectionPath(kind, metadata.namespace),
      query: writeQuery(options),
      body: { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind },
      doing: `creating ${kind.kind} ${show(metadata)}`,
    });
  }

  /** Replaces an object (PUT); `Conflict` when its resourceVersion is no longer the latest. */
  async update<T extends KubeObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return this.put(kind, object, '', options);
  }

  /** Replaces the status of an object (PUT of the `status` subresource). */
  async updateStatus<T extends KubeObject>(kind: Kind<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return this.put(kind, object, 'status', options);
  }

  /** Patches an object or one of its subresources. */
  async patch<T extends KubeObject>(kind: Kind<T>, ref: ObjectRef, patch: PatchRequest): Promise<T> {
    const { type, body, subresource, force, ...options } = patch;
    return this.object<T>({
      ...options,
      method: 'PATCH',
      path: objectPath(kind, ref, subresource),
      query: { ...writeQuery(options), force },
      body,
      contentType: PATCH_TYPES[type],
      doing: `patching ${kind.kind} ${show(ref)}`,
    });
  }

  /** Asks for the deletion of an object, which finalizers may delay; `NotFound` when there is none. */
  async delete(kind: Kind, ref: ObjectRef, options: DeleteOptions = {}): Promise<void> {
    const { propagationPolicy, gracePeriodSeconds, preconditions, dryRun, ...call } = options;
    await this.json({
      ...call,
      method: 'DELETE',
      path: objectPath(kind, ref),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy,
        gracePeriodSeconds,
        preconditions,
        ...(dryRun ? { dryRun: ['All'] } : {}),
      },
      doing: `deleting ${kind.kind} ${show(ref)}`,
    });
  }

  /** POSTs to a subresource, such as `eviction`, `binding` or `token`; returns the answer. */
  async post<R = unknown>(
    kind: Kind,
    ref: ObjectRef,
    subresource: string,
    body: unknown,
    options: CallOptions = {},
  ) {
    return this.json<R>({
      ...options,
      method: 'POST',
      path: objectPath(kind, ref, subresource),
      body,
      doing: `posting ${subresource} of ${kind.kind} ${show(ref)}`,
    });
  }

  /**
   * One watch, until the server or `signal` ends it: no retry, no re-list (createCache does those).
   * Throws KubeError `Gone` when the version is too old.
   */
  watch<T extends KubeObject>(kind: Kind<T>, options: WatchOptions = {}): AsyncIterable<WatchEvent<T>> {
    return watchEvents(this, kind, options);
  }

  /** Any request with a JSON answer. */
  async json<R = AnyObject>(request: Request): Promise<R> {
    const text = await this.text(request);
    try {
      return JSON.parse(text) as R;
    } catch (cause) {
      throw new KubeError('Protocol', `${describe(request)}: the answer is not JSON: ${text.slice(0, 200)}`, {
        cause,
      });
    }
  }

  /** Any request, its answer as text. */
  async text(request: Request): Promise<string> {
    return this.attempts(request, (timeoutMs) => this.once(request, timeoutMs));
  }

  /**
   * Any request whose answer is read as it comes; `timeoutMs` covers only its head. End it by `signal`
   * or by destroying it.
   */
  async stream(request: Request): Promise<IncomingMessage> {
    return this.attempts(request, (timeoutMs) => this.head(request, timeoutMs));
  }

  /** The headers that say who we are. */
  authorization(): Promise<OutgoingHttpHeaders> {
    return this.transport.authorization();
  }

  /** Closes the connections. Calls in progress fail. */
  close(): void {
    this.transport.close();
  }

  private async put<T extends KubeObject>(
    kind: Kind<T>,
    object: T,
    subresource: string,
    options: WriteOptions,
  ) {
    const { metadata } = object;
    return this.object<T>({
      ...options,
      method: 'PUT',
      path: objectPath(kind, metadata, subresource),
      query: writeQuery(options),
      body: { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind },
      doing: `updating ${subresource ? `${subresource} of ` : ''}${kind.kind} ${show(metadata)}`,
    });
  }

  private object<T>(request: Request): Promise<T> {
    return this.json<T>(request);
  }

  private async once(request: Request, timeoutMs: number): Promise<string> {
    const started = performance.now();
    const answer = await this.head(request, timeoutMs);
    const left = Math.max(1, timeoutMs - (performance.now() - started));
    return readBody(answer, { doing: describe(request), timeoutMs: left, signal: request.signal });
  }

  /** Sends once; refusals become errors here, so that every caller sees the same ones. */
  private async head(request: Request, timeoutMs: number): Promise<IncomingMessage> {
    const began = performance.now();
    this.requests++;
    const doing = describe(request);
    const headers: Record<string, string> = { ...request.headers };
    let body: string | Buffer | undefined;
    if (request.body !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      body =
        typeof request.body === 'string' || Buffer.isBuffer(request.body)
          ? request.body
          : JSON.stringify(request.body);
    }
    const answer = await this.transport.open({
      method: request.method ?? 'GET',
      path: request.path + queryString(request.query),
      headers,
      body,
      doing,
      timeoutMs,
      signal: request.signal,
      ownConnection: request.ownConnection,
    });
    this.clock.hear(answer.headers.date, performance.now() - began);
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    const left = Math.max(1, began + timeoutMs - performance.now());
    const text = await readBody(answer, { doing, timeoutMs: left, signal: request.signal });
    const error = errorFromStatus(doing, status, parsed(text), answer.headers['retry-after']);
    // A refused token may have been replaced in its file since it was read.
    if (error.code === 'Unauthorized') this.config.token?.forget?.();
    throw error;
  }

  /** A token that was refused is tried once more as it is now. */
  private delayAfter(error: unknown, attempt: number, reading: boolean): number | undefined {
    if (attempt === 0 && this.config.token?.forget && isKubeError(error, 'Unauthorized')) return 0;
    return retryDelay(error, attempt, reading);
  }

  /** Repeats what is safe to repeat, within the time of the whole call. */
  private async attempts<R>(request: Request, attempt: (timeoutMs: number) => Promise<R>): Promise<R> {
    const limit = request.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const end = performance.now() + limit;
    const reading = (request.method ?? 'GET') === 'GET';
    for (let n = 0; ; n++) {
      try {
        return await attempt(Math.max(1, end - performance.now()));
      } catch (error) {
        const wait = request.retry === false ? undefined : this.delayAfter(error, n, reading);
        if (wait === undefined || performance.now() + wait >= end) throw normal(error, request);
        await sleep(wait, undefined, { signal: request.signal }).catch((cause) => {
          throw normal(cause, request);
        });
      }
    }
  }
}

/**
 * Milliseconds until the request may be sent again, or undefined when it may not: a refused connection and a
 * 429 did nothing at the server; an answer that never came may have done everything, so only reads repeat.
 */
export function retryDelay(error: unknown, attempt: number, reading: boolean): number | undefined {
  if (!isKubeError(error)) return undefined;
  const backoff = Math.min(50 * 2 ** attempt, 1_000) * (0.75 + Math.random() / 2);
  if (error.code === 'TooManyRequests') {
    // Refused by the server's throttle. A refused eviction is also 429, with a cause, and is an answer.
    if (error.details?.causes?.length) return undefined;
    return error.retryAfterMs ?? Math.max(backoff, 250);
  }
  if (error.code === 'Unavailable') return reading ? (error.retryAfterMs ?? backoff) : undefined;
  if (error.code !== 'Unreachable') return undefined;
  if (error.reason === 'ECONNREFUSED' || error.reason === 'ENOENT') return backoff;
  if (reading && attempt < 3) return error.reason === 'StaleConnection' && attempt === 0 ? 0 : backoff;
  return undefined;
}

function normal(error: unknown, request: Request): unknown {
  if (isKubeError(error)) return error;
  if (request.signal?.aborted)
    return new KubeError('Aborted', `${describe(request)}: aborted`, { cause: error });
  return error;
}

function describe(request: Request): string {
  return request.doing ?? `${request.method ?? 'GET'} ${request.path}`;
}

function show(ref: { namespace?: string; name?: string; generateName?: string }): string {
  const name = ref.name || `${ref.generateName ?? ''}*`;
  return ref.namespace ? `${ref.namespace}/${name}` : name;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Items of a typed list carry neither apiVersion nor kind on a real API server. */
function named<T extends KubeObject>(kind: Kind<T>, item: T): T {
  item.apiVersion ??= apiVersionOf(kind);
  item.kind ??= kind.kind;
  return item;
}

function writeQuery(options: WriteOptions) {
  return {
    fieldManager: options.fieldManager,
    fieldValidation: options.fieldValidation,
    dryRun: options.dryRun ? 'All' : undefined,
  };
}

function queryString(query: Request['query']): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== '');
  return pairs.length === 0
    ? ''
    : `?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&')}`;
}

/** Path of the collection of a kind, in one namespace or, without, in all. */
export function collectionPath(kind: Kind, namespace?: string): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const scope = kind.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${kind.plural}`;
}

/** Path of one object, or of one of its subresources. */
export function objectPath(kind: Kind, ref: ObjectRef, subresource = ''): string {
  const path = `${collectionPath(kind, ref.namespace)}/${encodeURIComponent(ref.name)}`;
  return subresource ? `${path}/${subresource}` : path;
}
