/** The HTTPS server: who asks, what for, whether they may; then to the handlers. */

import { readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server as HttpsServer } from 'node:https';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { pkiPaths } from '../pki.ts';
import { AccessRecord } from './access-record.ts';
import { Admission } from './admission.ts';
import { PLAIN_TEXT, sendEmptyOpenApi2, sendError, sendJson, sendText } from './answer.ts';
import { Authenticator } from './authn.ts';
import { bootstrap } from './bootstrap.ts';
import { ClusterIps } from './cluster-ips.ts';
import { CrdManager } from './crd/definitions.ts';
import { discover } from './discovery.ts';
import { type Call, serveResource } from './handlers.ts';
import { podTarget, proxyUpgrade } from './proxy.ts';
import { Authorizer } from './rbac.ts';
import { Registry } from './registry.ts';
import { type Attributes, parseRequest, type RequestInfo } from './request.ts';
import { accessDenied } from './reviews.ts';
import { ApiError, forbidden, noSuchPath } from './status.ts';
import { Store } from './store.ts';
import type { User } from './types.ts';
import { Writer } from './writer.ts';

export interface ServerOptions {
  /** The state folder; its PKI must exist. */
  state: string;
  /** Called with unexpected errors; default: standard error. */
  log?: (message: string, error?: unknown) => void;
  /** The clock, in ms since the epoch. */
  now?: () => number;
  /** Changes kept per resource for watches. Default 1000. */
  history?: number;
  /** How often a watch that allows bookmarks gets one. Default one minute. */
  bookmarkMs?: number;
}

const EVENT_TTL_MS = 3_600_000;
const SWEEP_MS = 300_000;
const VERSION = {
  major: '1',
  minor: '33',
  gitVersion: 'v1.33.0+pgherd',
  gitCommit: 'unknown',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'none',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
};

export class Server {
  readonly state: string;
  readonly store: Store;
  readonly registry = new Registry();
  readonly authorizer: Authorizer;
  readonly authenticator: Authenticator;
  readonly writer: Writer;
  readonly now: () => number;
  readonly bookmarkMs: number;
  readonly #log: (message: string, error?: unknown) => void;
  readonly #servers: HttpsServer[] = [];
  readonly #streams = new Map<ServerResponse, () => void>();
  readonly #sweeper: NodeJS.Timeout;
  readonly #access = new AccessRecord();

  constructor(options: ServerOptions) {
    this.state = options.state;
    this.now = options.now ?? Date.now;
    this.bookmarkMs = options.bookmarkMs ?? 60_000;
    this.#log = options.log ?? ((message, error) => console.error(message, error ?? ''));
    this.store = new Store({ path: join(options.state, 'api', 'store.db'), history: options.history });
    bootstrap(this.store, this.now());
    this.authorizer = new Authorizer(this.store);
    this.authenticator = new Authenticator(this.store, readFileSync(pkiPaths(options.state).saKey), this.now);
    const crds = new CrdManager(this.store, this.registry, this.now);
    this.writer = new Writer(
      this.store,
      new Admission(this.store, this.authorizer, new ClusterIps(this.store), crds),
      this.now,
    );
    crds.cleanUp();
    this.#sweeper = setInterval(() => this.#sweepEvents(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Listens on a TCP port of an address, or on a Unix socket; resolves with the port (0 for a socket). */
  listen(at: { port: number; host: string } | { socket: string }): Promise<number> {
    const paths = pkiPaths(this.state);
    const server = createServer(
      {
        key: readFileSync(paths.serverKey),
        cert: readFileSync(paths.serverCert),
        ca: readFileSync(paths.caCert),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => void this.#serve(request, response),
    );
    server.keepAliveTimeout = 120_000;
    server.requestTimeout = 0;
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      const ready = () => {
        server.off('error', reject);
        server.on('error', (error) => this.#log('the listener failed', error));
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      };
      if ('socket' in at) {
        // A socket file that a killed server left behind is in the way.
        rmSync(at.socket, { force: true });
        server.listen(at.socket, ready);
      } else server.listen(at.port, at.host, ready);
    });
  }

  /** Ends watches, closes listeners and the store. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    for (const stop of this.#streams.values()) stop();
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
    this.store.close();
  }

  /** Registers how to end a long answer when the server closes. */
  addStream(response: ServerResponse, stop: () => void): void {
    this.#streams.set(response, stop);
    response.on('close', () => this.#streams.delete(response));
  }

  #sweepEvents(): void {
    const limit = this.now() - EVENT_TTL_MS;
    for (const event of this.store.list('events')) {
      const seen = Date.parse(
        String(event.lastTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp),
      );
      const last = Number.isNaN(seen) ? Date.parse(event.metadata.creationTimestamp) : seen;
      if (last < limit) this.store.delete('events', event);
    }
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response);
    } catch (error) {
      sendError(response, this.#asApiError(error, request));
    }
  }

  #asApiError(error: unknown, request: IncomingMessage): ApiError {
    if (error instanceof ApiError) return error;
    if (!request.destroyed) this.#log(`${request.method} ${request.url} failed`, error);
    return new ApiError(500, 'InternalError', `Internal error occurred: ${(error as Error).message}`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const info = parseRequest(request.method ?? 'GET', request.url ?? '/');
    const user = this.#actingUser(request);
    if (!info.target) return this.#servePath(info, user, request, response);
    const { target } = info;
    const resource = this.registry.find(target.group, target.version, target.plural);
    this.#authorize(info, user);
    if (!resource || (target.namespace && !resource.namespaced && target.plural !== 'namespaces'))
      throw noSuchPath();
    if (
      resource.namespaced &&
      !target.namespace &&
      (target.name || info.verb === 'create') &&
      resource.verbs.length > 1
    )
      throw noSuchPath();
    const call: Call = { server: this, request, response, info, target, resource, user };
    await serveResource(call);
  }

  /** The user, or the one he impersonates when he may. */
  #actingUser(request: IncomingMessage): User {
    const user = this.authenticator.identify(request);
    const name = request.headers['impersonate-user'];
    if (typeof name !== 'string') return user;
    const groups = [request.headers['impersonate-group'] ?? []]
      .flat()
      .flatMap((one) => one.split(',').map((group) => group.trim()));
    for (const [resource, value] of [['users', name], ...groups.map((group) => ['groups', group])] as [
      string,
      string,
    ][]) {
      if (!this.authorizer.allows({ user, verb: 'impersonate', group: '', resource, name: value })) {
        throw forbidden(
          { group: '', plural: resource, kind: '' },
          value,
          `User ${JSON.stringify(user.name)} cannot impersonate resource ${JSON.stringify(resource)} in API group "" at the cluster scope`,
        );
      }
    }
    const account = /^system:serviceaccount:([^:]+):/.exec(name);
    const implied = account ? ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`] : [];
    return { name, groups: [...groups, ...implied, 'system:authenticated'] };
  }

  #authorize(info: RequestInfo, user: User): void {
    const { target } = info;
    if (!target) return;
    const asked: Attributes = {
      user,
      verb: info.verb,
      group: target.group,
      resource: target.plural,
      subresource: target.subresource,
      namespace: target.namespace,
      name: target.name ?? nameOfSelector(info),
    };
    const allowed = this.authorizer.allows(asked);
    this.#access.note(asked, allowed);
    if (!allowed) throw accessDenied(user, { ...asked, name: target.name });
  }

  #servePath(
    info: RequestInfo,
    user: User,
    request: IncomingMessage,
    response: ServerResponse,
  ): void | Promise<void> {
    const { path } = info;
    if (!this.authorizer.allows({ user, verb: info.verb, group: '', resource: '', path })) {
      throw new ApiError(
        403,
        'Forbidden',
        `forbidden: User ${JSON.stringify(user.name)} cannot ${info.verb} path ${JSON.stringify(path)}`,
        {},
      );
    }
    if (/^\/(healthz|readyz|livez)(\/.*)?$/.test(path)) return sendText(response, 200, 'ok', PLAIN_TEXT);
    if (path === '/debug/access') return sendJson(response, 200, { items: this.#access.list() });
    if (path === '/version' || path === '/version/') return sendJson(response, 200, VERSION);
    if (path === '/openapi/v2') return sendEmptyOpenApi2(request.headers.accept ?? '', response);
    if (path === '/openapi/v3' || path.startsWith('/openapi/v3/')) return this.#serveOpenApi(info, response);
    if (path === '/')
      return sendJson(response, 200, {
        paths: [
          '/api',
          '/api/v1',
          '/apis',
          '/healthz',
          '/livez',
          '/openapi/v2',
          '/openapi/v3',
          '/readyz',
          '/version',
        ],
      });
    if (path === '/api' || path === '/apis' || path.startsWith('/api/') || path.startsWith('/apis/')) {
      const answer = discover(this.registry, path, request.headers.accept ?? '');
      if (answer) return sendText(response, 200, JSON.stringify(answer.body), answer.contentType);
    }
    throw noSuchPath();
  }

  async #serveOpenApi(info: RequestInfo, response: ServerResponse): Promise<void> {
    const { openApiDocument } = await import('./openapi.ts');
    const text = openApiDocument(this.registry, info.path);
    if (text === undefined) throw noSuchPath();
    // The index is no JSON to those who go by its type; a document is.
    sendText(response, 200, text, info.path === '/openapi/v3' ? PLAIN_TEXT : undefined);
  }

  /** exec, attach and port-forward come as upgrades. */
  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const refuse = (error: unknown) => refuseUpgrade(socket, this.#asApiError(error, request));
    socket.on('error', () => socket.destroy());
    try {
      const info = parseRequest(request.method ?? 'GET', request.url ?? '/');
      const { target } = info;
      const streams = ['exec', 'attach', 'portforward'];
      if (
        !target?.namespace ||
        !target.name ||
        target.plural !== 'pods' ||
        !streams.includes(target.subresource ?? '')
      )
        throw noSuchPath();
      this.#authorizeStream(info, this.#actingUser(request));
      if (target.subresource === 'portforward') info.query.delete('container');
      const pod = podTarget(this.store, this.state, target.namespace, target.name, info.query);
      const query = info.query.toString();
      const container = target.subresource === 'portforward' ? '' : `/${pod.container}`;
      const path = `/${target.subresource}/${target.namespace}/${target.name}${container}${query ? `?${query}` : ''}`;
      proxyUpgrade(pod, path, request, socket, head, refuse);
    } catch (error) {
      refuse(error);
    }
  }

  /** Over WebSocket a stream is a GET; having `create` is what counts, as kubectl's users know it. */
  #authorizeStream(info: RequestInfo, user: User): void {
    try {
      this.#authorize({ ...info, verb: 'create' }, user);
    } catch {
      this.#authorize({ ...info, verb: 'get' }, user);
    }
  }
}

/** A list or watch of one name counts as access to that name, so that resourceNames work for it. */
function nameOfSelector(info: RequestInfo): string | undefined {
  const match = /^metadata\.name==?([^,=!]+)$/.exec(info.query.get('fieldSelector') ?? '');
  return match?.[1];
}

function refuseUpgrade(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(error.status());
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
