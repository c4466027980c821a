import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AnyObject } from '../objects.ts';

interface Change {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  object: AnyObject;
  collection: string;
  namespace: string;
}

interface Watcher {
  answer: http.ServerResponse;
  wants(change: Change): boolean;
}

/** The answer to give instead of the true one. */
export interface Fault {
  /** Which requests: a part of `METHOD /path?query`. */
  match: string;
  times: number;
  status?: number;
  reason?: string;
  headers?: Record<string, string>;
  delayMs?: number;
  /** Carry the request out, then break the connection instead of answering. */
  breakAfter?: boolean;
}

const PATH =
  /^\/(?:api|apis\/([^/]+))\/[^/]+(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?(?:\/([a-z]+))?$/;

/**
 * A small API server for the tests of this package: a real server on a real port, which keeps objects and
 * versions, watches them, and misbehaves on request. It can be stopped and started again on its port.
 */
export class ApiServer {
  readonly log: string[] = [];
  faults: Fault[] = [];
  /** Whoever bears another token, or none, is refused; undefined: nobody is. */
  token: string | undefined;
  private version = 10;
  private oldest = 0;
  private readonly objects = new Map<string, AnyObject>();
  private history: Change[] = [];
  private readonly watchers = new Set<Watcher>();
  private server: http.Server | undefined;
  private port = 0;
  private readonly tls: https.ServerOptions | undefined;
  private readonly host: string;

  constructor(tls?: https.ServerOptions, host = '127.0.0.1') {
    this.tls = tls;
    this.host = host;
  }

  get url(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host;
    return `${this.tls ? 'https' : 'http'}://${host}:${this.port}`;
  }

  get watching(): number {
    return this.watchers.size;
  }

  async start(): Promise<void> {
    const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.answer(request, response).catch((error) => response.destroy(error));
    };
    this.server = this.tls ? https.createServer(this.tls, answer) : http.createServer(answer);
    await new Promise<void>((resolve, reject) => {
      this.server!.once('error', reject);
      this.server!.listen(this.port, this.host, resolve);
    });
    this.port = (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.server;
    if (!server) return;
    this.server = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    this.watchers.clear();
  }

  /** Breaks every watch in the middle. */
  dropWatches(): void {
    for (const { answer } of this.watchers) answer.destroy();
    this.watchers.clear();
  }

  /** Ends every watch as a server does when the time is over. */
  endWatches(): void {
    for (const { answer } of this.watchers) answer.end();
    this.watchers.clear();
  }

  /** Forgets the past: watches from before now are answered 410. */
  compact(): void {
    this.oldest = this.version;
    this.history = [];
  }

  bookmark(): void {
    const object = { metadata: { resourceVersion: String(this.version) } };
    for (const { answer } of this.watchers) answer.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Sends raw text to every watch. */
  say(text: string): void {
    for (const { answer } of this.watchers) answer.write(text);
  }

  /** Requests whose `METHOD /path?query` contains `part`. */
  count(part: string): number {
    return this.log.filter((line) => line.includes(part)).length;
  }

  put(collection: string, object: AnyObject): AnyObject {
    const { namespace = '', name } = object.metadata;
    const key = `${collection}/${namespace}/${name}`;
    const old = this.objects.get(key);
    const version = String(++this.version);
    const uid = old?.metadata.uid ?? `uid-${version}`;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: version } };
    this.objects.set(key, stored);
    this.change(old ? 'MODIFIED' : 'ADDED', stored, collection);
    return stored;
  }

  remove(collection: string, namespace: string, name: string): void {
    const key = `${collection}/${namespace}/${name}`;
    const old = this.objects.get(key);
    if (!old) return;
    this.objects.delete(key);
    const version = String(++this.version);
    this.change('DELETED', { ...old, metadata: { ...old.metadata, resourceVersion: version } }, collection);
  }

  find(collection: string, namespace: string, name: string): AnyObject | undefined {
    return this.objects.get(`${collection}/${namespace}/${name}`);
  }

  all(collection: string): AnyObject[] {
    return [...this.objects].filter(([key]) => key.startsWith(`${collection}/`)).map(([, object]) => object);
  }

  private change(type: Change['type'], object: AnyObject, collection: string): void {
    const change: Change = {
      version: this.version,
      type,
      object,
      collection,
      namespace: object.metadata.namespace ?? '',
    };
    this.history.push(change);
    for (const watcher of this.watchers) if (watcher.wants(change)) send(watcher.answer, change);
  }

  private async answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<boolean> {
    const url = new URL(request.url ?? '/', this.url);
    const line = `${request.method} ${url.pathname}${url.search}`;
    this.log.push(line);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`)
      return refuse(response, 401, 'Unauthorized');
    const fault = this.faults.find(({ match, times }) => times > 0 && line.includes(match));
    if (fault) {
      fault.times--;
      if (fault.delayMs) await new Promise((resolve) => setTimeout(resolve, fault.delayMs).unref());
      if (fault.status) return refuse(response, fault.status, fault.reason ?? 'Fault', fault.headers);
    }
    const [, group = '', namespace = '', plural = '', name] = PATH.exec(url.pathname) ?? [];
    const collection = group ? `${plural}.${group}` : plural;
    if (!plural) return refuse(response, 404, 'NotFound');
    if (fault?.breakAfter) {
      this.carryOut(request.method!, collection, namespace, name, text, new http.ServerResponse(request));
      response.destroy();
      return true;
    }
    if (!name && request.method === 'GET') return this.collection(url, collection, namespace, response);
    return this.carryOut(request.method!, collection, namespace, name, text, response);
  }

  private collection(
    url: URL,
    collection: string,
    namespace: string,
    response: http.ServerResponse,
  ): boolean {
    if (url.searchParams.get('watch') === 'true') return this.watch(url, collection, namespace, response);
    const matching = this.all(collection).filter((o) => !namespace || o.metadata.namespace === namespace);
    const from = Number(url.searchParams.get('continue') ?? 0);
    const limit = Number(url.searchParams.get('limit') ?? 500);
    // As a real server: no apiVersion and kind on the items.
    const items = matching.slice(from, from + limit).map(({ apiVersion: _, kind: __, ...rest }) => rest);
    const more = from + limit < matching.length ? String(from + limit) : undefined;
    return reply(response, 200, {
      kind: 'List',
      items,
      metadata: { resourceVersion: String(this.version), continue: more },
    });
  }

  private watch(url: URL, collection: string, namespace: string, response: http.ServerResponse): boolean {
    const from = Number(url.searchParams.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (from < this.oldest) {
      const object = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return true;
    }
    const wants = (change: Change) =>
      change.version > from &&
      change.collection === collection &&
      (!namespace || change.namespace === namespace);
    for (const change of this.history) if (wants(change)) send(response, change);
    const watcher = { answer: response, wants };
    this.watchers.add(watcher);
    response.on('close', () => this.watchers.delete(watcher));
    return true;
  }

  private carryOut(
    method: string,
    collection: string,
    namespace: string,
    name: string | undefined,
    text: string,
    response: http.ServerResponse,
  ): boolean {
    const body = text ? (JSON.parse(text) as AnyObject) : undefined;
    const old = name ? this.find(collection, namespace, name) : undefined;
    if (method === 'POST' && body) {
      if (this.find(collection, namespace, body.metadata.name)) return refuse(response, 409, 'AlreadyExists');
      return reply(response, 201, this.put(collection, body));
    }
    if (!old) return refuse(response, 404, 'NotFound');
    if (method === 'GET') return reply(response, 200, old);
    if (method === 'DELETE') {
      this.remove(collection, namespace, name!);
      return reply(response, 200, { kind: 'Status', status: 'Success' });
    }
    const version = body?.metadata?.resourceVersion;
    if (version && version !== old.metadata.resourceVersion) return refuse(response, 409, 'Conflict');
    if (method === 'PUT') return reply(response, 200, this.put(collection, body!));
    return reply(
      response,
      200,
      this.put(collection, { ...old, ...body, metadata: { ...old.metadata, ...body?.metadata } }),
    );
  }
}

function send(answer: http.ServerResponse, { type, object }: Change): void {
  answer.write(`${JSON.stringify({ type, object })}\n`);
}

function reply(response: http.ServerResponse, status: number, body: unknown): boolean {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
  return true;
}

function refuse(
  response: http.ServerResponse,
  code: number,
  reason: string,
  headers: Record<string, string> = {},
): boolean {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(
    JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message: `${reason} by the test` }),
  );
  return true;
}
