import * as http from 'node:http';
import * as https from 'node:https';
import type { ClientConfig } from './config.ts';
import { isKubeError, KubeError } from './errors.ts';

export interface RawRequest {
  method: string;
  /** Path and query, from `/api` on. */
  path: string;
  body?: string | Buffer;
  headers?: Record<string, string>;
  /** For messages: "reading Pod a/b". */
  doing: string;
  signal?: AbortSignal;
  /** Until the head of the answer is there, in milliseconds. */
  timeoutMs: number;
  /** Not one of the pool. */
  ownConnection?: boolean;
}

/** How long a connection may be silent before the kernel asks whether the peer is still there. */
const KEEP_ALIVE_MS = 5_000;
/** No API server answers with this status. */
const PROXY_LOGIN = 407;

/**
 * One pool of connections to one API server. Sockets are kept alive between requests, because the manager
 * of an instance renews its Lease every two seconds and a TLS handshake costs more than the renewal.
 */
export class Transport {
  readonly config: ClientConfig;
  readonly base: URL;
  private readonly agent: http.Agent;
  /** For watches: one that is opened because the last one went dead must not get another dead one. */
  private readonly lone: http.Agent;

  constructor(config: ClientConfig) {
    this.config = config;
    this.base = new URL(config.server);
    this.agent = this.pool();
    this.lone = this.made({});
  }

  private pool(): http.Agent {
    return this.made({
      keepAlive: true,
      keepAliveMsecs: KEEP_ALIVE_MS,
      maxFreeSockets: 4,
      scheduling: 'lifo' as const,
    });
  }

  private made(options: http.AgentOptions): http.Agent {
    const { proxy } = this.config;
    if (proxy) return proxy.agent({ ...options, ...tlsOptions(this.config) });
    return this.base.protocol === 'http:'
      ? new http.Agent(options)
      : new https.Agent({ ...options, ...tlsOptions(this.config) });
  }

  /**
   * No connection that lies in the pool is taken again. One that does not answer is often not alone: a load balancer
   * that went away leaves all of them half open, and to try one after the other would take a time-out each.
   */
  private dropIdle(): void {
    for (const sockets of Object.values(this.agent.freeSockets))
      for (const socket of [...(sockets ?? [])]) socket.destroy();
  }

  /** The headers that say who we are; none when a client certificate does. */
  async authorization(): Promise<http.OutgoingHttpHeaders> {
    const token = await this.config.token?.();
    return { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(await this.config.headers?.()) };
  }

  /** Sends one request and resolves with the head of the answer; the body is still to be read. */
  async open(request: RawRequest): Promise<http.IncomingMessage> {
    request.signal?.throwIfAborted();
    const headers: http.OutgoingHttpHeaders = {
      'user-agent': this.config.userAgent ?? 'pgherd',
      accept: 'application/json',
      ...request.headers,
      ...(await this.authorization()),
    };
    if (request.body !== undefined) headers['content-length'] = String(Buffer.byteLength(request.body));
    return new Promise((resolve, reject) => this.send(request, headers, resolve, reject));
  }

  /** Closes idle connections and ends those in use. */
  close(): void {
    this.agent.destroy();
    this.lone.destroy();
  }

  private send(
    request: RawRequest,
    headers: http.OutgoingHttpHeaders,
    resolve: (answer: http.IncomingMessage) => void,
    reject: (error: unknown) => void,
  ): void {
    const { protocol, hostname, port, pathname } = this.base;
    const call = (protocol === 'http:' ? http : https).request({
      agent: request.ownConnection ? this.lone : this.agent,
      method: request.method,
      path: `${pathname === '/' ? '' : pathname.replace(/\/$/, '')}${request.path}`,
      ...(this.config.socketPath
        ? { socketPath: this.config.socketPath }
        : { host: hostname.replace(/^\[|\]$/g, ''), port: port || (protocol === 'http:' ? 80 : 443) }),
      headers: { host: this.base.host, ...headers },
    });
    const timer = setTimeout(() => {
      this.dropIdle();
      call.destroy(
        new KubeError(
          'Timeout',
          `${request.doing}: no answer from ${this.base.host} within ${request.timeoutMs} ms`,
        ),
      );
    }, request.timeoutMs);
    const abort = () => call.destroy(new KubeError('Aborted', `${request.doing}: aborted`));
    request.signal?.addEventListener('abort', abort, { once: true });
    const settled = () => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', abort);
    };
    call.on('response', (answer) => {
      settled();
      if (answer.statusCode === PROXY_LOGIN) {
        answer.destroy();
        return reject(this.failure(request.doing, new Error('the proxy wants a login'), false));
      }
      resolve(answer);
    });
    call.on('error', (cause) => {
      settled();
      reject(this.failure(request.doing, cause, call.reusedSocket));
    });
    call.end(request.body);
  }

  private failure(doing: string, cause: Error, reused: boolean): KubeError {
    if (isKubeError(cause)) return cause;
    const errno = (cause as NodeJS.ErrnoException).code ?? '';
    const { proxy } = this.config;
    const through = proxy ? ` through the proxy ${proxy.shown}` : '';
    const message = `${doing}: ${this.base.host} cannot be reached${through}: ${cause.message}`;
    return new KubeError('Unreachable', message, {
      // A kept connection that the server closed meanwhile: the next attempt opens a new one.
      reason: reused && (errno === 'ECONNRESET' || errno === 'EPIPE') ? 'StaleConnection' : errno,
      hint: errno.includes('CERT')
        ? 'the CA of this configuration did not sign the certificate of the server'
        : undefined,
      cause,
    });
  }
}

/** The TLS half of a configuration, for node:tls. */
export function tlsOptions(config: ClientConfig): https.AgentOptions {
  const host = new URL(config.server).hostname.replace(/^\[|\]$/g, '');
  // Without this a Unix socket's connection would be checked against "localhost"; an address is no SNI name,
  // but Node checks it against the certificate's addresses all the same.
  const servername = config.serverName ?? (config.socketPath ? host : undefined);
  return {
    ca: config.ca,
    cert: config.cert,
    key: config.key,
    rejectUnauthorized: config.insecure !== true,
    ...(servername && !/^[\d.]+$|:/.test(servername) ? { servername } : {}),
    maxCachedSessions: 8,
  };
}

/** Reads a body to its end; fails with KubeError `Timeout` when it takes longer than `timeoutMs`. */
export function readBody(
  answer: http.IncomingMessage,
  o: { doing: string; timeoutMs: number; signal?: AbortSignal },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const fail = (error: KubeError) => {
      settled();
      answer.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new KubeError('Timeout', `${o.doing}: the answer did not end within ${o.timeoutMs} ms`)),
      o.timeoutMs,
    );
    const abort = () => fail(new KubeError('Aborted', `${o.doing}: aborted`));
    const settled = () => {
      clearTimeout(timer);
      o.signal?.removeEventListener('abort', abort);
    };
    o.signal?.addEventListener('abort', abort, { once: true });
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('end', () => {
      settled();
      resolve(chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString());
    });
    const broken = (cause?: Error) => {
      settled();
      reject(
        new KubeError('Unreachable', `${o.doing}: the connection broke in the middle of the answer`, {
          cause,
        }),
      );
    };
    answer.on('error', broken);
    answer.on('close', () => {
      if (!answer.complete) broken();
    });
  });
}
