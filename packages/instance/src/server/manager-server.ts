/** Port 8000: probes for anyone, all else for those whose certificate names them. */

import { rmSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type InstanceReport, OPERATOR_COMMON_NAME, REPLICATION_USER } from '@pgherd/api';
import type { Routes } from '../backup/routes.ts';
import type { TlsMaterial } from '../tls.ts';

export interface Answers {
  /** From the last observation: must not wait. */
  report(): InstanceReport;
  /** From an observation that begins now. */
  freshReport(): Promise<InstanceReport>;
  /** Resolves when the report says something else than `seen`, or after `ms`. */
  changed(seen: string, ms: number): Promise<void>;
  /** A leader without the API asks whether it may go on. */
  grant(question: { leader: string; epoch: number }): Promise<object>;
  /** A candidate asks us to receive no more WAL. */
  promise(question: { candidate: string; epoch: number; version: string }): Promise<object>;
  /** The leader is about to stop by plan, and has made a checkpoint that ends here. */
  prepare(question: { checkpoint: string }): Promise<object>;
}

/** What a server needs to prove who it is, and to know its clients. */
export type ServerMaterial = Pick<TlsMaterial, 'clientCa' | 'serverCert' | 'serverKey'>;

export interface ManagerServer {
  /** New connections get the new certificates; those that are open stay. */
  renew(material: ServerMaterial): void;
  close(): void;
  readonly port: number;
}

/** The names a client certificate of our CA may bear to be told more than a probe. */
const WELCOME: ReadonlySet<string> = new Set([REPLICATION_USER, OPERATOR_COMMON_NAME]);

/** Serves over mutual TLS; resolves when it listens. */
export async function serveManager(o: {
  port: number;
  host?: string;
  material: ServerMaterial;
  answers: Answers;
  /** Below /backrest/: what is asked about backups. */
  backrest?: Routes;
}): Promise<ManagerServer> {
  const server: HttpsServer = createHttpsServer(
    {
      ...secureContext(o.material),
      // The kubelet's probes have no certificate, so its absence is judged by path.
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      const socket = request.socket as TLSSocket;
      const known = socket.authorized && WELCOME.has(commonName(socket));
      answer(request, response, o, known);
    },
  );
  server.keepAliveTimeout = 120_000;
  await listen(server, { port: o.port, ...(o.host ? { host: o.host } : {}) });
  return {
    renew: (material) => server.setSecureContext(secureContext(material)),
    close: () => end(server),
    port: (server.address() as { port: number }).port,
  };
}

/** Serves the same on a Unix socket, for commands inside the pod: who may open it, may ask. */
export async function serveLocal(path: string, answers: Answers): Promise<{ close(): void }> {
  rmSync(path, { force: true });
  const server = createHttpServer((request, response) => answer(request, response, { answers }, true));
  await listen(server, { path });
  return { close: () => end(server) };
}

function secureContext(material: ServerMaterial) {
  return {
    ca: material.clientCa,
    cert: material.serverCert,
    key: material.serverKey,
    minVersion: 'TLSv1.3' as const,
  };
}

function commonName(socket: TLSSocket): string {
  const name = socket.getPeerCertificate().subject?.CN as string | string[] | undefined;
  return typeof name === 'string' ? name : '';
}

interface Answer {
  status: number;
  text: string;
  type?: string;
}

interface Served {
  answers: Answers;
  backrest?: Routes;
}

function answer(request: IncomingMessage, response: ServerResponse, served: Served, known: boolean): void {
  decide(request, served, known)
    .catch((error): Answer => ({ status: 500, text: `${String(error)}\n` }))
    .then(({ status, text, type = 'text/plain' }) => {
      response.writeHead(status, {
        'content-type': type,
        'content-length': Buffer.byteLength(text),
        // Who is known is settled as a connection begins: over this one even a certificate that we trust by now would not do.
        ...(status === STRANGER.status ? { connection: 'close' } : {}),
      });
      response.end(text);
    });
}

async function decide(
  request: IncomingMessage,
  { answers, backrest }: Served,
  known: boolean,
): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'https://instance');
  if (backrest && url.pathname.startsWith('/backrest/')) {
    if (!known) return STRANGER;
    const { status, body } = await backrest(request);
    return { status, text: JSON.stringify(body), type: 'application/json' };
  }
  const methods = POSTED.has(url.pathname) ? ['POST'] : ['GET', 'HEAD'];
  if (!methods.includes(request.method ?? '')) return { status: 405, text: `only ${methods[0]}\n` };
  switch (url.pathname) {
    case '/healthz':
      return { status: 200, text: 'ok\n' };
    case '/readyz': {
      const report = answers.report();
      return report.ready ? { status: 200, text: 'ok\n' } : { status: 503, text: `${notReady(report)}\n` };
    }
    case '/status':
    case '/changes':
    case '/grant':
    case '/promise':
    case '/prepare':
      return known ? await forMembers(request, url, answers) : STRANGER;
    default:
      return {
        status: 404,
        text: 'there is /healthz, /readyz, /status, /changes, /grant, /promise and /prepare\n',
      };
  }
}

const POSTED: ReadonlySet<string> = new Set(['/promise', '/prepare']);

/** What only those are told, or may ask for, whose certificate is of the cluster. */
async function forMembers(request: IncomingMessage, url: URL, answers: Answers): Promise<Answer> {
  switch (url.pathname) {
    case '/changes':
      return changes(url.searchParams, answers);
    case '/grant':
      return grant(url.searchParams, answers);
    case '/promise':
      return promise(await bodyOf(request), answers);
    case '/prepare':
      return prepare(await bodyOf(request), answers);
    default:
      return json(await answers.freshReport());
  }
}

/** How long a question for changes is held open. */
const CHANGES_MS = 30_000;

/** Answers when there is something new to ask for with /status, or when nothing was new for long. */
async function changes(query: URLSearchParams, answers: Answers): Promise<Answer> {
  await answers.changed(query.get('seen') ?? '', CHANGES_MS);
  return { status: 200, text: 'look\n' };
}

const STRANGER: Answer = { status: 403, text: 'this needs a client certificate of the cluster\n' };

function json(value: object): Answer {
  return { status: 200, text: JSON.stringify(value), type: 'application/json' };
}

async function grant(query: URLSearchParams, answers: Answers): Promise<Answer> {
  const leader = query.get('leader');
  const epoch = query.get('epoch');
  if (!leader || !epoch || !/^\d+$/.test(epoch))
    return { status: 400, text: 'say leader=IDENTITY and epoch=NUMBER\n' };
  return json(await answers.grant({ leader, epoch: Number(epoch) }));
}

async function promise(body: Record<string, unknown> | undefined, answers: Answers): Promise<Answer> {
  const { candidate, epoch, version } = body ?? {};
  if (typeof candidate !== 'string' || !Number.isSafeInteger(epoch) || typeof version !== 'string')
    return { status: 400, text: 'say candidate, epoch and version in JSON\n' };
  return json(await answers.promise({ candidate, epoch: epoch as number, version }));
}

async function prepare(body: Record<string, unknown> | undefined, answers: Answers): Promise<Answer> {
  const { checkpoint } = body ?? {};
  if (typeof checkpoint !== 'string' || !/^[0-9A-F]+\/[0-9A-F]+$/i.test(checkpoint))
    return { status: 400, text: 'say checkpoint=LSN in JSON\n' };
  return json(await answers.prepare({ checkpoint }));
}

const LONGEST_BODY = 4096;

/** The JSON object that was sent; undefined when it is none, or too long to be one of ours. */
async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > LONGEST_BODY) return undefined;
  }
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Why a pod is not ready, in words; `kubectl describe pod` shows them. */
function notReady(report: InstanceReport): string {
  const { role, state, waiting, error } = report;
  const why = error ? `: ${error.message}` : waiting ? `: waiting for ${waiting.what}` : '';
  return `${role === 'none' ? 'no database' : role} ${state}${why}`;
}

/** Resolves when the server listens; rejects when it cannot. */
export function listen(
  server: Server | HttpsServer,
  where: { port?: number; host?: string; path?: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function end(server: Server | HttpsServer): void {
  server.close();
  server.closeAllConnections();
}
