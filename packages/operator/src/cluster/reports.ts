/** Asks instances how they are, over mutual TLS. */
import { createHash } from 'node:crypto';
import { Agent, request } from 'node:https';
import { type InstanceReport, MANAGER_PORT, OPERATOR_COMMON_NAME } from '@pgherd/api';
import type { Log } from '@pgherd/kube';
import { OperatorError } from '../errors.ts';
import { createLeaf, type KeyPair } from '../pki.ts';

export interface Question {
  /** Key of the cluster, `namespace/name`. */
  cluster: string;
  /** What the server's certificate must be good for. */
  serverName: string;
  /** Signs our own certificate. */
  authority: KeyPair;
  /** What verifies those of the instances, PEM. */
  trusted: string;
  instances: { name: string; podUID: string; address: string }[];
}

export interface Answer {
  report?: InstanceReport;
  /** Why there is none. */
  silent?: string;
}

export interface Reports {
  /**
   * The state of each instance by name, all asked at once. Waits at most `waitMs`; who has not answered by then
   * is known by an answer that is at most STALE_MS old, or as silent. A later answer that says something else
   * calls `onNews`.
   */
  ask(question: Question): Promise<Map<string, Answer>>;
  /** Ends connections to a cluster that is gone. */
  forget(cluster: string): void;
}

export interface ReportsOptions {
  log: Log;
  onNews: (cluster: string) => void;
  now?: () => number;
  waitMs?: number;
  timeoutMs?: number;
  port?: number;
}

const STALE_MS = 5_000;
/** A client certificate is made for a week and replaced on its last day. */
const CERTIFICATE_DAYS = 7;
const DAY_MS = 86_400_000;

interface Known {
  podUID: string;
  address: string;
  report?: InstanceReport;
  at: number;
  error?: string;
  asking?: Promise<void>;
}

interface Connection {
  agent: Agent;
  id: string;
  until: number;
}

export function createReports(options: ReportsOptions): Reports {
  const { log, onNews, now = Date.now, waitMs = 500, timeoutMs = 2_000, port = MANAGER_PORT } = options;
  const connections = new Map<string, Promise<Connection>>();
  const known = new Map<string, Map<string, Known>>();

  async function connect(question: Question): Promise<Connection> {
    const { cluster, authority, trusted, serverName } = question;
    const id = createHash('sha256')
      .update(authority.cert)
      .update(authority.key)
      .update(trusted)
      .digest('hex');
    const current = await connections.get(cluster)?.catch(() => undefined);
    if (current && current.id === id && current.until > now()) return current;
    const made = open(id, question, serverName, new Date(now()));
    connections.set(cluster, made);
    current?.agent.destroy();
    return made;
  }

  function memory(question: Question): Map<string, Known> {
    const before = known.get(question.cluster) ?? new Map<string, Known>();
    const after = new Map<string, Known>();
    for (const { name, podUID, address } of question.instances) {
      const old = before.get(name);
      const same = old && old.podUID === podUID && old.address === address;
      after.set(name, same ? old : { podUID, address, at: Number.NEGATIVE_INFINITY });
    }
    known.set(question.cluster, after);
    return after;
  }

  async function askOne(agent: Agent, cluster: string, name: string, entry: Known, late: () => boolean) {
    const before = summary(entry);
    try {
      const report = await fetchReport(agent, entry.address, port, timeoutMs);
      if (report.podUID !== entry.podUID)
        throw new OperatorError('report', 'another pod answers at its address');
      entry.report = report;
      entry.at = now();
      delete entry.error;
    } catch (error) {
      entry.error = describe(error);
      log.debug({ cluster, instance: name, error: entry.error }, 'an instance did not answer');
    }
    delete entry.asking;
    if (late() && summary(entry) !== before) onNews(cluster);
  }

  return {
    async ask(question) {
      const entries = memory(question);
      if (entries.size === 0) return new Map();
      const { agent } = await connect(question);
      let late = false;
      for (const [name, entry] of entries)
        entry.asking ??= askOne(agent, question.cluster, name, entry, () => late);
      await within(waitMs, Promise.all([...entries.values()].map(({ asking }) => asking)));
      late = true;
      return new Map([...entries].map(([name, entry]) => [name, answer(entry, now())]));
    },
    forget(cluster) {
      connections.get(cluster)?.then(
        ({ agent }) => agent.destroy(),
        () => {},
      );
      connections.delete(cluster);
      known.delete(cluster);
    },
  };
}

async function open(
  id: string,
  { authority, trusted }: Pick<Question, 'authority' | 'trusted'>,
  servername: string,
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
    maxSockets: 2,
    ca: trusted,
    cert: client.cert,
    key: client.key,
    servername,
    minVersion: 'TLSv1.3',
  });
  return { agent, id, until: now.getTime() + (CERTIFICATE_DAYS - 1) * DAY_MS };
}

function answer(entry: Known, now: number): Answer {
  const recent = now - entry.at <= STALE_MS;
  if (entry.report && recent) return { report: entry.report };
  return { silent: entry.error ?? 'no answer yet' };
}

/** What of an answer is news when it changes: not the positions, which always do. */
function summary({ report, error }: Known): string {
  if (error || !report) return error ?? '';
  const { role, state, ready, leader, streaming, timeline, waiting, error: failure } = report;
  return JSON.stringify([role, state, ready, leader, streaming, timeline, waiting?.what, failure?.code]);
}

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([promise, over]);
  clearTimeout(timer);
}

const LIMIT_BYTES = 1024 * 1024;

function fetchReport(
  agent: Agent,
  address: string,
  port: number,
  timeoutMs: number,
): Promise<InstanceReport> {
  const signal = AbortSignal.timeout(timeoutMs);
  const once = () =>
    new Promise<InstanceReport>((resolve, reject) => {
      const sent = request({ host: address, port, path: '/status', agent, signal }, (response) => {
        const parts: Buffer[] = [];
        let size = 0;
        response.on('data', (part: Buffer) => {
          size += part.length;
          if (size > LIMIT_BYTES) sent.destroy(new OperatorError('report', 'its answer is too long'));
          parts.push(part);
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== 200)
            return reject(new OperatorError('report', `it answers with status ${response.statusCode}`));
          try {
            resolve(JSON.parse(Buffer.concat(parts).toString('utf8')) as InstanceReport);
          } catch (cause) {
            reject(new OperatorError('report', 'its answer cannot be read', { cause }));
          }
        });
      });
      // A kept connection may have been closed by the other side just now: that says nothing about it.
      sent.on('error', (error) => reject(Object.assign(error, { reused: sent.reusedSocket })));
      sent.end();
    });
  return once().catch((error: Error & { reused?: boolean }) => {
    if (error.reused && !signal.aborted) return once();
    throw error;
  });
}

function describe(error: unknown): string {
  const { name, code, message } = error as { name?: string; code?: string; message?: string };
  if (name === 'AbortError' || name === 'TimeoutError' || code === 'ABORT_ERR') return 'no answer in time';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'host unreachable';
  return message ?? String(error);
}
