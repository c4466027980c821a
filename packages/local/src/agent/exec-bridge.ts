import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { isTrue } from '../query.ts';
import { CHANNEL, FrameReader, frame } from '../shim/protocol.ts';
import { serveSpdyStreams } from './forward/spdy-exec.ts';

/** Channels of `v5.channel.k8s.io`; 255 ends the channel named in the next byte. */
const KUBE = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/**
 * Between the last output, the status and the close: Python's client waits for its descriptor to become readable,
 * and then reads one message only, even if the same TLS record brought more.
 */
const APART_MS = 10;
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

/** Accepts a WebSocket, or SPDY, and leads it to the shim's connection that `open` makes: that of a command, or of what runs. */
export async function serveStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  query: URLSearchParams,
  open: () => Promise<Socket>,
): Promise<void> {
  if (/^spdy\/3\.1$/i.test(request.headers.upgrade ?? ''))
    return serveSpdyStreams(request, socket, head, query, open, statusOf);
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => PROTOCOLS.find((protocol) => offered.has(protocol)) ?? false,
  });
  server.handleUpgrade(request, socket, head, (webSocket) => {
    bridge(webSocket, query, open).catch((error) => {
      finish(webSocket, failure(error instanceof Error ? error.message : String(error)));
    });
  });
}

async function bridge(
  webSocket: WebSocket,
  query: URLSearchParams,
  open: () => Promise<Socket>,
): Promise<void> {
  const flag = (name: string): boolean => isTrue(query.get(name));
  const early: Buffer[] = [];
  let deliver = (message: Buffer): void => {
    early.push(message);
  };
  webSocket.on('message', (message) => deliver(message as Buffer));
  const socket = await open();
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
  let over = false;
  const end = (status: object): void => {
    if (!over) finish(webSocket, status);
    over = true;
  };
  socket.on('data', (chunk: Buffer) => {
    for (const { channel, data } of frames.push(chunk)) {
      if (channel === CHANNEL.result) end(statusOf(JSON.parse(data.toString())));
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
  socket.once('close', () => end(failure('the container ended')));
}

function send(webSocket: WebSocket, channel: number, data: Buffer): void {
  if (webSocket.readyState === webSocket.OPEN) webSocket.send(Buffer.concat([Buffer.from([channel]), data]));
}

function finish(webSocket: WebSocket, status: object): void {
  setTimeout(() => {
    send(webSocket, KUBE.error, Buffer.from(JSON.stringify(status)));
    setTimeout(() => webSocket.close(1000), APART_MS);
  }, APART_MS);
}

function statusOf({ exitCode, error }: { exitCode?: number; error?: string }): object {
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
