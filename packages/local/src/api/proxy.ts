/** Logs, exec, attach and port-forward: handed to the agent of the pod's node over its Unix socket. */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { ApiError, badRequest, notFound } from './status.ts';
import type { Store } from './store.ts';
import { type KubeObject, objectAt, objectsAt } from './types.ts';

const POD = { group: '', plural: 'pods', kind: 'Pod' };

/** Where a pod's agent listens, and which container is meant. */
export interface PodTarget {
  pod: KubeObject;
  socket: string;
  container: string;
}

/** Finds a pod's agent; throws 404 for no pod, 400 when it is not on a node or the container is unclear. */
export function podTarget(
  store: Store,
  state: string,
  namespace: string,
  name: string,
  query: URLSearchParams,
): PodTarget {
  const pod = store.get('pods', namespace, name);
  if (!pod) throw notFound(POD, name);
  const container = containerOf(pod, query.get('container') ?? undefined);
  const node = objectAt(pod, 'spec').nodeName;
  if (typeof node !== 'string' || !node) throw badRequest(`pod ${name} does not have a host assigned`);
  return { pod, socket: join(state, 'nodes', node, 'agent.sock'), container };
}

function containerOf(pod: KubeObject, wanted: string | undefined): string {
  const spec = objectAt(pod, 'spec');
  const own = objectsAt(spec, 'containers').map((one) => String(one.name));
  const all = [
    ...objectsAt(spec, 'initContainers').map((one) => String(one.name)),
    ...own,
    ...objectsAt(spec, 'ephemeralContainers').map((one) => String(one.name)),
  ];
  if (wanted !== undefined) {
    if (!all.includes(wanted))
      throw badRequest(`container ${wanted} is not valid for pod ${pod.metadata.name}`);
    return wanted;
  }
  const marked = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (marked && all.includes(marked)) return marked;
  if (own.length === 1) return own[0] as string;
  throw badRequest(
    `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${all.join(' ')}]`,
  );
}

function unreachable(target: PodTarget, error: Error): ApiError {
  const node = objectAt(target.pod, 'spec').nodeName;
  return new ApiError(500, 'InternalError', `the agent of node ${node} cannot be reached: ${error.message}`);
}

/** Streams `path` of the agent into the response. Rejects with an ApiError if nothing was sent yet. */
export function proxyGet(target: PodTarget, path: string, response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({ socketPath: target.socket, path, method: 'GET' }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, {
        'Content-Type': answer.headers['content-type'] ?? 'text/plain',
      });
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
      answer.on('end', resolve);
      response.on('close', () => {
        answer.destroy();
        resolve();
      });
    });
    upstream.on('error', (error) => {
      if (response.headersSent) response.destroy();
      else reject(unreachable(target, error));
    });
    upstream.end();
  });
}

/** Passes an upgrade through to the agent, byte for byte, under another path. */
export function proxyUpgrade(
  target: PodTarget,
  path: string,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  refuse: (error: ApiError) => void,
): void {
  const agent = connect(target.socket);
  agent.once('error', (error) => {
    refuse(unreachable(target, error));
    agent.destroy();
  });
  agent.once('connect', () => {
    agent.removeAllListeners('error');
    const lines = [`GET ${path} HTTP/1.1`];
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      const name = request.rawHeaders[index] as string;
      // The agent trusts its socket; the caller's credentials stay here.
      if (name.toLowerCase() !== 'authorization') lines.push(`${name}: ${request.rawHeaders[index + 1]}`);
    }
    agent.write(`${lines.join('\r\n')}\r\n\r\n`);
    if (head.length) agent.write(head);
    agent.pipe(client);
    client.pipe(agent);
    const end = () => {
      agent.destroy();
      client.destroy();
    };
    agent.on('error', end);
    client.on('error', end);
    agent.on('close', () => client.end());
    client.on('close', () => agent.destroy());
  });
}
