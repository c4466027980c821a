/** The rows of the conformance table, and what a row has at hand. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { waitFor } from '@pgherd/cli';
import type { ClientConfig } from '@pgherd/kube';
import { readBody, Transport } from '@pgherd/kube/transport';
import { type EventStream, readEvents } from './events.ts';

/** One thing that the API documentation says, and how it is seen. */
export interface Row {
  area: string;
  /** What must hold, as a sentence. */
  name: string;
  run(api: Api): Promise<void>;
}

/** Rows of an area, from sentences and what shows them. */
export function rows(area: string, sentences: Record<string, (api: Api) => Promise<void>>): Row[] {
  return Object.entries(sentences).map(([name, run]) => ({ area, name, run }));
}

export type Json = Record<string, unknown>;

/** An object as the API shows it: what most rows look at is typed, the rest is not. */
export interface Shown {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    generation?: number;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: Json[];
    managedFields?: Json[];
    continue?: string;
    remainingItemCount?: number;
  };
  items: Shown[];
  message: string;
  [field: string]: unknown;
}

export interface Answer {
  code: number;
  body: Shown;
  text: string;
  headers: IncomingMessage['headers'];
}

export interface Ask {
  /** Content type of the body; default application/json. */
  type?: string;
  headers?: Record<string, string>;
}

export const PATCH = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** Thrown by a row that this cluster cannot show, with the reason. */
export class Skipped extends Error {}

/** What all rows of one run share. */
export interface Ground {
  config: ClientConfig;
  transport: Transport;
  namespace: string;
  /** API group of the custom resource that the rows use. */
  group: string;
  /** An image with a shell. */
  image: string;
}

const TIMEOUT_MS = 20_000;

export class Api {
  readonly namespace: string;
  readonly group: string;
  readonly image: string;
  /** A name that no other row uses. */
  readonly name: string;
  readonly config: ClientConfig;
  private readonly transport: Transport;
  private readonly open = new Set<EventStream>();

  constructor(ground: Ground, name: string) {
    this.namespace = ground.namespace;
    this.group = ground.group;
    this.image = ground.image;
    this.config = ground.config;
    this.transport = ground.transport;
    this.name = name;
  }

  /** Path of a collection of this run's namespace, or of an object in it; `at` may go on to a subresource. */
  path(resource: string, at = ''): string {
    const root = `${resource === 'widgets' ? `/apis/${this.group}/v1` : ROOTS[resource]}`;
    return `${root}/namespaces/${this.namespace}/${resource}${at ? `/${at}` : ''}`;
  }

  async ask(method: string, path: string, body?: unknown, ask: Ask = {}): Promise<Answer> {
    const answer = await this.head(this.transport, method, path, body, ask);
    const text = await readBody(answer, { doing: `${method} ${path}`, timeoutMs: TIMEOUT_MS });
    const isJson = String(answer.headers['content-type'] ?? '').includes('json');
    return {
      code: answer.statusCode ?? 0,
      body: (isJson ? parsed(text) : {}) as Shown,
      text,
      headers: answer.headers,
    };
  }

  /** As somebody else: with these headers, and without who we are if `config` says so. */
  async askAs(config: ClientConfig, path: string): Promise<Answer> {
    const transport = new Transport(config);
    try {
      const answer = await this.head(transport, 'GET', path, undefined, {});
      const text = await readBody(answer, { doing: `GET ${path}`, timeoutMs: TIMEOUT_MS });
      return { code: answer.statusCode ?? 0, body: JSON.parse(text) as Shown, text, headers: answer.headers };
    } finally {
      transport.close();
    }
  }

  private head(
    transport: Transport,
    method: string,
    path: string,
    body: unknown,
    ask: Ask,
  ): Promise<IncomingMessage> {
    const headers: Record<string, string> = { ...ask.headers };
    if (body !== undefined) headers['content-type'] = ask.type ?? 'application/json';
    return transport.open({
      method,
      path,
      headers,
      body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
      doing: `${method} ${path}`,
      timeoutMs: TIMEOUT_MS,
    });
  }

  get(path: string, ask: Ask = {}): Promise<Answer> {
    return this.ask('GET', path, undefined, ask);
  }

  patch(kind: keyof typeof PATCH, path: string, body: unknown, ask: Ask = {}): Promise<Answer> {
    return this.ask('PATCH', path, body, { ...ask, type: PATCH[kind] });
  }

  /** Creates in the namespace of this run; must succeed. */
  async made(resource: string, object: Json): Promise<Shown> {
    return sees(await this.ask('POST', this.path(resource), object), 201).body;
  }

  /** Opens a watch; it is closed with the row. */
  async watch(path: string, ask: Ask = {}): Promise<EventStream> {
    const answer = await this.head(this.transport, 'GET', path, undefined, ask);
    if (answer.statusCode !== 200) {
      const text = await readBody(answer, { doing: `GET ${path}`, timeoutMs: TIMEOUT_MS });
      throw new assert.AssertionError({ message: `GET ${path}: ${answer.statusCode} ${text}` });
    }
    const stream = readEvents(answer);
    this.open.add(stream);
    return stream;
  }

  /** Waits until a GET shows what is wanted. */
  async until(
    path: string,
    what: string,
    is: (answer: Answer) => boolean,
    timeoutMs = 30_000,
  ): Promise<Answer> {
    let last: Answer | undefined;
    await waitFor(
      async () => {
        last = await this.get(path);
        return is(last);
      },
      { timeoutMs, everyMs: 50, describe: () => `${what}; the last answer was ${last?.code} ${last?.text}` },
    );
    return last as Answer;
  }

  gone(path: string, timeoutMs?: number): Promise<Answer> {
    return this.until(path, `${path} has not gone`, ({ code }) => code === 404, timeoutMs);
  }

  close(): void {
    for (const stream of this.open) stream.close();
  }
}

/** A stream of events is more than one document: nothing to look into. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const ROOTS: Record<string, string> = {
  configmaps: '/api/v1',
  secrets: '/api/v1',
  pods: '/api/v1',
  services: '/api/v1',
  serviceaccounts: '/api/v1',
  events: '/api/v1',
  endpoints: '/api/v1',
  persistentvolumeclaims: '/api/v1',
  deployments: '/apis/apps/v1',
  replicasets: '/apis/apps/v1',
  jobs: '/apis/batch/v1',
  leases: '/apis/coordination.k8s.io/v1',
  roles: '/apis/rbac.authorization.k8s.io/v1',
  rolebindings: '/apis/rbac.authorization.k8s.io/v1',
  poddisruptionbudgets: '/apis/policy/v1',
  endpointslices: '/apis/discovery.k8s.io/v1',
};

const EVENTUALLY_MS = 20_000;

/** Tries until it does not fail: for what a server learns a moment later, such as a rule or a definition. */
export async function eventually(check: () => Promise<void>): Promise<void> {
  const holds = () => check().then(() => true);
  await waitFor(holds, { timeoutMs: EVENTUALLY_MS, everyMs: 100, describe: () => 'it does not hold' }).catch(
    (error: Error) => {
      throw error.cause ?? error;
    },
  );
}

/** What an answer must hold: a part of it; texts may be given as patterns. */
export type Part = { [field: string]: unknown };

/** Checks code and, where given, a part of the body; returns the answer. */
export function sees(answer: Answer, code: number, part?: Part): Answer {
  if (answer.code !== code)
    throw new assert.AssertionError({
      message: `HTTP ${answer.code} instead of ${code}: ${answer.text.slice(0, 600)}`,
    });
  if (part) holds(answer.body, part);
  return answer;
}

/** A refusal: a Status of this code and reason. */
export function refuses(
  answer: Answer,
  code: number,
  reason: string,
  message?: RegExp,
  details?: Part,
): Answer {
  return sees(answer, code, {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code,
    reason,
    ...(message ? { message } : {}),
    ...(details ? { details } : {}),
  });
}

/** Fails unless this answers a path that nothing serves: a bare text, no `Status`. */
export function isServedByNobody(answer: Answer): void {
  sees(answer, 404);
  assert.equal(answer.text.trim(), '404 page not found');
}

/** Fails unless `actual` has all of `part`; where it has not, the message says where. */
export function holds(actual: unknown, part: unknown, where = ''): void {
  if (fits(actual, part)) {
    if (part instanceof RegExp || typeof part !== 'object' || part === null) return;
    for (const [field, each] of Object.entries(part))
      holds((actual as Json)[field], each, where ? `${where}.${field}` : field);
    return;
  }
  const wanted = part instanceof RegExp ? String(part) : JSON.stringify(part);
  const found = JSON.stringify(actual)?.slice(0, 400);
  throw new assert.AssertionError({ message: `${where || 'the body'}: ${found} instead of ${wanted}` });
}

/** Whether a value is what is wanted, its parts aside. */
function fits(actual: unknown, part: unknown): boolean {
  if (part instanceof RegExp) return typeof actual === 'string' && part.test(actual);
  if (Array.isArray(part)) return Array.isArray(actual) && actual.length >= part.length;
  if (typeof part === 'object' && part !== null) return typeof actual === 'object' && actual !== null;
  return actual === part;
}
