import { existsSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { isTrue } from '../query.ts';
import type { StateLayout } from '../state.ts';
import { serveStreams } from './exec-bridge.ts';
import { serveForward } from './forward/forward.ts';
import { logFile, logOptions, sendLog } from './logs.ts';
import { isRunning } from './plan.ts';
import type { PodWorker } from './worker.ts';

interface Target {
  verb: string;
  worker: PodWorker;
  container: string;
  query: URLSearchParams;
}

/** Logs and exec for the API server, on the node's Unix socket. */
export function serveAgent(
  layout: StateLayout,
  node: string,
  find: (namespace: string, name: string) => PodWorker | undefined,
): void {
  const path = layout.node(node).agentSocket;
  if (existsSync(path)) unlinkSync(path);
  const server = createServer((request, response) => {
    const target = targetOf(request, find);
    if (target?.verb !== 'logs') return refuse(response, 404, `nothing at ${request.url}`);
    answerLog(layout, target, response).catch((error) => refuse(response, 500, String(error)));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => {});
    const target = targetOf(request, find);
    const open = target && connection(target);
    if (target && open) void serveStreams(request, socket, head, target.query, open);
    else if (target?.verb === 'portforward')
      void serveForward(request, socket, head, target.worker, target.query);
    else socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
  });
  server.listen(path);
}

/** How the streams of an exec or an attach are opened; undefined for other verbs. */
function connection({ verb, worker, container, query }: Target): (() => Promise<Socket>) | undefined {
  if (verb === 'attach') return () => worker.sandbox.attach(container);
  if (verb !== 'exec') return undefined;
  const options = { tty: isTrue(query.get('tty')), stdin: isTrue(query.get('stdin')) };
  return () => worker.sandbox.exec(container, query.getAll('command'), options);
}

function targetOf(
  request: IncomingMessage,
  find: (namespace: string, name: string) => PodWorker | undefined,
): Target | undefined {
  const url = new URL(request.url ?? '/', 'http://agent');
  const [, verb, namespace, pod, container] = url.pathname.split('/').map(decodeURIComponent);
  const worker = find(namespace ?? '', pod ?? '');
  if (!verb || !worker) return undefined;
  const name = container || worker.current.pod.spec.containers[0]!.name;
  return { verb, worker, container: name, query: url.searchParams };
}

async function answerLog(
  layout: StateLayout,
  { worker, container, query }: Target,
  response: ServerResponse,
): Promise<void> {
  const options = logOptions(query, Date.now());
  const { uid } = worker.current.pod.metadata;
  const file = logFile(join(layout.pod(uid!).logs, container), options.previous);
  if (!file) {
    const where = `container "${container}" in pod "${worker.current.pod.metadata.name}"`;
    const why = options.previous ? `previous terminated ${where} not found` : `${where} has no log yet`;
    return refuse(response, 400, why);
  }
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  const running = (): boolean => isRunning(worker.current.runs.findLast((run) => run.name === container));
  await sendLog(response, file, options, running);
  response.end();
}

function refuse(response: ServerResponse, code: number, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'BadRequest' };
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ ...status, message, code }));
}
