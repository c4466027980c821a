import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { CHANNEL, FrameReader, frame } from '../shim/protocol.ts';
import type { PodWorker } from './worker.ts';

/** Channels of `v5.channel.k8s.io`; 255 ends the channel named in the next byte. */
const KUBE = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

/** Accepts a WebSocket and runs the command that the query names in a container. */
export async function serveExec(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  worker: PodWorker,
  container: string,
  query: URLSearchParams,
): Promise<void> {
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
  });
  server.handleUpgrade(request, socket, head, (webSocket) => {
    bridge(webSocket, worker, container, query).catch((error) => {
      finish(webSocket, failure(error instanceof Error ? error.message : String(error)));
    });
  });
}

async function bridge(
  webSocket: WebSocket,
  worker: PodWorker,
  container: string,
  query: URLSearchParams,
): Promise<void> {
  const flag = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
  const early: Buffer[] = [];
  let deliver = (message: Buffer): void => {
    early.push(message);
  };
  webSocket.on('message', (message) => deliver(message as Buffer));
  const socket = await worker.exec(container, query.getAll('command'), {
    tty: flag('tty'),
    stdin: flag('stdin'),
  });
  deliver = (message) => {
    const channel = message[0];
    if (channel === KUBE.stdin) socket.write(frame(CHANNEL.stdin, message.subarray(1)));
    else if (channel === KUBE.resize) socket.write(frame(CHANNEL.resize, message.subarray(1)));
    else if (channel === KUBE.close && message[1] === KUBE.stdin)
      socket.write(frame(CHANNEL.endStdin, Buffer.alloc(0)));
  };
  for (const message of early) deliver(message);
  webSocket.once('close', () => socket.destroy());
  webSocket.on('error', () => socket.destroy());
  const frames = new FrameReader();
  socket.on('data', (chunk: Buffer) => {
    for (const { channel, data } of frames.push(chunk)) {
      if (channel === CHANNEL.result) finish(webSocket, statusOf(data));
      else {
        const to = channel === CHANNEL.stderr ? 'stderr' : 'stdout';
        // What was not asked for, clients do not understand.
        if (flag(to)) send(webSocket, KUBE[to], data);
      }
    }
    // A slow reader must not fill our memory.
    if (webSocket.bufferedAmount > 1_000_000) {
      socket.pause();
      const timer = setInterval(() => {
        if (webSocket.bufferedAmount > 100_000 && webSocket.readyState === webSocket.OPEN) return;
        clearInterval(timer);
        socket.resume();
      }, 10);
    }
  });
  socket.once('close', () => finish(webSocket, failure('the container ended')));
}

function send(webSocket: WebSocket, channel: number, data: Buffer): void {
  if (webSocket.readyState === webSocket.OPEN) webSocket.send(Buffer.concat([Buffer.from([channel]), data]));
}

function finish(webSocket: WebSocket, status: object): void {
  if (webSocket.readyState !== webSocket.OPEN) return;
  send(webSocket, KUBE.error, Buffer.from(JSON.stringify(status)));
  webSocket.close(1000);
}

function statusOf(data: Buffer): object {
  const { exitCode, error } = JSON.parse(data.toString()) as { exitCode?: number; error?: string };
  if (error !== undefined) return failure(error);
  if (exitCode === 0) return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: error executing command, exit code ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}

function failure(message: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    reason: 'InternalError',
    code: 500,
    message,
  };
}
