/** Connections to the pods of clusters, over mutual TLS with a certificate that we sign with the cluster's own CA. */
import { createHash } from 'node:crypto';
import { Agent, request } from 'node:https';
import { OPERATOR_COMMON_NAME } from '@pgherd/api';
import { OperatorError } from '../errors.ts';
import { createLeaf, type KeyPair } from '../pki.ts';

export interface ConnectionTo {
  /** Key of the cluster, `namespace/name`. */
  cluster: string;
  /** What the server's certificate must be good for. */
  serverName: string;
  /** Signs our own certificate. */
  authority: KeyPair;
  /** What verifies those of the pods, PEM. */
  trusted: string;
}

export interface Connections {
  agent(to: ConnectionTo): Promise<Agent>;
  /** Ends connections to a cluster that is gone. */
  forget(cluster: string): void;
}

/** A client certificate is made for a week and replaced on its last day. */
const CERTIFICATE_DAYS = 7;
const DAY_MS = 86_400_000;

interface Connection {
  agent: Agent;
  id: string;
  until: number;
}

export function createConnections(now: () => number): Connections {
  const connections = new Map<string, Map<string, Promise<Connection>>>();
  const of = (cluster: string) => {
    const known = connections.get(cluster) ?? new Map<string, Promise<Connection>>();
    connections.set(cluster, known);
    return known;
  };
  return {
    async agent({ cluster, serverName, authority, trusted }) {
      const id = createHash('sha256')
        .update(authority.cert)
        .update(authority.key)
        .update(trusted)
        .digest('hex');
      const known = of(cluster);
      const current = await known.get(serverName)?.catch(() => undefined);
      if (current && current.id === id && current.until > now()) return current.agent;
      const made = open(id, { authority, trusted, serverName }, new Date(now()));
      known.set(serverName, made);
      current?.agent.destroy();
      return (await made).agent;
    },
    forget(cluster) {
      for (const connection of connections.get(cluster)?.values() ?? [])
        connection.then(
          ({ agent }) => agent.destroy(),
          () => {},
        );
      connections.delete(cluster);
    },
  };
}

async function open(
  id: string,
  { authority, trusted, serverName }: Omit<ConnectionTo, 'cluster'>,
  now: Date,
): Promise<Connection> {
  const client = await createLeaf(authority, {
    commonName: OPERATOR_COMMON_NAME,
    usage: 'client',
    now,
    days: CERTIFICATE_DAYS,
  });
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 3,
    ca: trusted,
    cert: client.cert,
    key: client.key,
    servername: serverName,
    minVersion: 'TLSv1.3',
  });
  return { agent, id, until: now.getTime() + (CERTIFICATE_DAYS - 1) * DAY_MS };
}

export interface Call {
  agent: Agent;
  address: string;
  port: number;
  method?: 'GET' | 'POST';
  path: string;
  body?: unknown;
  timeoutMs: number;
}

export interface CallAnswer {
  status: number;
  /** As JSON, where it is some; else its text. */
  body: unknown;
}

const LIMIT_BYTES = 16 * 1024 * 1024;

/** Sends a request and reads the answer. Rejects with the reason when there is none in time. */
export function call(o: Call): Promise<CallAnswer> {
  const signal = AbortSignal.timeout(o.timeoutMs);
  const once = () => send(o, signal);
  return once().catch((error: Error & { reused?: boolean }) => {
    // A kept connection may have been closed by the other side just now: that says nothing about it.
    if (error.reused && !signal.aborted) return once();
    throw error;
  });
}

function send(
  { agent, address, port, method = 'GET', path, body }: Call,
  signal: AbortSignal,
): Promise<CallAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: address, port, path, method, agent, signal }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > LIMIT_BYTES) sent.destroy(new OperatorError('report', 'its answer is too long'));
        parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(parts).toString('utf8')) }),
      );
    });
    sent.on('error', (error) => reject(Object.assign(error, { reused: sent.reusedSocket })));
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}

/** Why there is no answer, in words for people. */
export function describeSilence(error: unknown): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  if (name === 'AbortError' || name === 'TimeoutError' || code === 'ABORT_ERR') return 'no answer in time';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'host unreachable';
  return message ?? String(error);
}
