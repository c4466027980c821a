/** Asks the pods that run backups. */
import { type BackupInfo, type BackupJobAnswer, type BackupRequest, MANAGER_PORT, names } from '@pgherd/api';
import { type Connections, call, createConnections, describeSilence } from '../cluster/connections.ts';
import type { Facts } from '../cluster/facts.ts';
import { authorityOf } from '../cluster/plan-certificates.ts';
import { decoded } from '../cluster/specs/secrets.ts';
import { OperatorError } from '../errors.ts';
import type { Executor } from './plan.ts';

const SHORT_MS = 5_000;
const INFO_MS = 65_000;

export class ExecutorClient {
  private readonly connections: Connections;
  private readonly port: number;

  constructor(now: () => number, port: number = MANAGER_PORT) {
    this.connections = createConnections(now);
    this.port = port;
  }

  /**
   * How a backup is there. While it runs, the answer comes when it ends, or after `waitMs`. Rejects in words when the
   * pod does not answer.
   */
  async job(facts: Facts, executor: Executor, id: string, waitMs: number): Promise<BackupJobAnswer> {
    const path = `/backrest/backup?id=${encodeURIComponent(id)}&wait=${waitMs}`;
    return (await this.call(facts, executor, 'GET', path, SHORT_MS)) as BackupJobAnswer;
  }

  /** Asks for a backup. Another one may run there: then the answer has no job. */
  async start(facts: Facts, executor: Executor, request: BackupRequest): Promise<BackupJobAnswer> {
    return (await this.call(
      facts,
      executor,
      'POST',
      '/backrest/backup',
      SHORT_MS,
      request,
    )) as BackupJobAnswer;
  }

  async cancel(facts: Facts, executor: Executor, id: string): Promise<void> {
    await this.call(facts, executor, 'POST', `/backrest/cancel?id=${encodeURIComponent(id)}`, SHORT_MS);
  }

  /** What the repositories that the pod works on hold of a stanza. */
  async info(facts: Facts, executor: Executor, stanza: string): Promise<BackupInfo | undefined> {
    const path = `/backrest/info?stanza=${encodeURIComponent(stanza)}`;
    return ((await this.call(facts, executor, 'GET', path, INFO_MS)) as { info?: BackupInfo }).info;
  }

  private async call(
    facts: Facts,
    executor: Executor,
    method: 'GET' | 'POST',
    path: string,
    timeoutMs: number,
    body?: unknown,
  ): Promise<unknown> {
    const { name, namespace } = facts.cluster.metadata;
    const own = names(name);
    const authority = authorityOf(facts.secrets.get(own.ca));
    const { address, serverName } = placeOf(facts, executor);
    if (!authority) throw new OperatorError('pki', `the secret ${own.ca} lacks ca.crt or ca.key`);
    const agent = await this.connections.agent({
      cluster: `${namespace}/${name}`,
      serverName,
      authority,
      trusted: decoded(facts.secrets.get(own.server), 'ca.crt') ?? authority.cert,
    });
    try {
      const answer = await call({ agent, address, port: this.port, method, path, body, timeoutMs });
      if (answer.status === 200 || answer.status === 409) return answer.body;
      const { error } = (answer.body ?? {}) as { error?: string };
      throw new OperatorError('report', error ?? `it answers with status ${answer.status}`);
    } catch (error) {
      throw error instanceof OperatorError ? error : new OperatorError('report', describeSilence(error));
    }
  }
}

function placeOf(facts: Facts, executor: Executor): { address: string; serverName: string } {
  const own = names(facts.cluster.metadata.name);
  if (executor.kind === 'repository') {
    const address = facts.backup?.service?.spec.clusterIP;
    if (!address) throw new OperatorError('report', 'the repository pod has no service');
    return { address, serverName: own.backup };
  }
  const pod = facts.instances.find(({ name }) => name === executor.name)?.pod;
  const address = pod?.status?.podIP;
  if (!address) throw new OperatorError('report', `the pod ${executor.name} is gone`);
  return { address, serverName: own.r };
}
