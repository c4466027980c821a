import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import type { WebSocket } from 'ws';
import type { PodWorker } from '../worker.ts';
import { SpdySession, type SpdyStream, type Transport } from './spdy.ts';

/** `kubectl port-forward`, in the three forms that clients use. */

const TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const CHANNELS = 'v4.channel.k8s.io';
const SPDY_STREAMS = 'portforward.k8s.io';
/** More than this waiting to be sent: the source has to pause. */
const HIGH_WATER = 1 << 20;

/** Serves an upgraded request: SPDY as such, SPDY in a WebSocket, or the channels of a WebSocket. */
export async function serveForward(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  worker: PodWorker,
  query: URLSearchParams,
): Promise<void> {
  if (/^spdy\/3\.1$/i.test(request.headers.upgrade ?? '')) return overSpdy(socket, head, worker);
  const { WebSocketServer } = await import('ws');
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered) => [TUNNEL, CHANNELS].find((protocol) => offered.has(protocol)) ?? false,
  });
  server.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on('error', () => {});
    if (webSocket.protocol === TUNNEL) overTunnel(webSocket, worker);
    else overChannels(webSocket, worker, portsOf(query));
  });
}

function overSpdy(socket: Duplex, head: Buffer, worker: PodWorker): void {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${SPDY_STREAMS}\r\n\r\n`,
  );
  const session = forwardSession(
    {
      send: (data, done) => socket.write(data, done),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: () => socket.end(),
    },
    worker,
  );
  socket.on('data', (chunk: Buffer) => session.push(chunk));
  socket.once('close', () => session.close());
  socket.once('end', () => session.close());
  if (head.length > 0) session.push(head);
}

function overTunnel(webSocket: WebSocket, worker: PodWorker): void {
  const session = forwardSession(
    {
      send: (data, done) => webSocket.send(data, done),
      pause: () => webSocket.pause(),
      resume: () => webSocket.resume(),
      close: () => webSocket.close(1000),
    },
    worker,
  );
  webSocket.on('message', (data: Buffer) => session.push(data));
  webSocket.once('close', () => session.close());
}

/** Streams come in pairs of one request id: first the one for an error, then the one for data. */
function forwardSession(transport: Transport, worker: PodWorker): SpdySession {
  const pairs = new Map<string, { data?: SpdyStream; error?: SpdyStream }>();
  return new SpdySession(transport, (stream) => {
    const { requestid = '', streamtype, port } = stream.headers;
    const pair = pairs.get(requestid) ?? {};
    if (streamtype === 'data') pair.data = stream;
    else if (streamtype === 'error') pair.error = stream.resume();
    pairs.set(requestid, pair);
    if (!pair.data || !pair.error) return;
    pairs.delete(requestid);
    void carry(pair.data, pair.error, worker, Number(port));
  });
}

async function carry(data: SpdyStream, error: SpdyStream, worker: PodWorker, port: number): Promise<void> {
  try {
    const inside = await worker.sandbox.connectTo(port);
    let open = 2;
    const ended = (): void => {
      if (--open === 0) error.end();
    };
    // An end on one side is handed on alone; a break on one side is one on both.
    pipeline(data, inside, ended);
    pipeline(inside, data, ended);
  } catch (cause) {
    error.end(cannotForward(port, cause));
    data.end();
    data.resume();
  }
}

function cannotForward(port: number, cause: unknown): string {
  return `failed to connect to localhost:${port} inside the pod: ${cause instanceof Error ? cause.message : cause}`;
}

function portsOf(query: URLSearchParams): number[] {
  return query
    .getAll('ports')
    .flatMap((list) => list.split(','))
    .map(Number)
    .filter((port) => Number.isInteger(port) && port > 0 && port < 65_536);
}

/** The older form: for each port two channels, one for data and one for an error; each begins with the port. */
function overChannels(webSocket: WebSocket, worker: PodWorker, ports: number[]): void {
  const send = (channel: number, data: Buffer, done?: () => void): void => {
    if (webSocket.readyState !== webSocket.OPEN) return;
    webSocket.send(Buffer.concat([Buffer.from([channel]), data]), done);
  };
  const inside = ports.map(async (port, index) => {
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    send(2 * index, number);
    send(2 * index + 1, number);
    const socket = await worker.sandbox.connectTo(port);
    socket.on('data', (chunk: Buffer) => {
      send(2 * index, chunk, () => socket.resume());
      if (webSocket.bufferedAmount > HIGH_WATER) socket.pause();
    });
    socket.once('end', () => webSocket.close(1000));
    socket.once('close', () => webSocket.close(1000));
    socket.resume();
    return socket;
  });
  for (const [index, opening] of inside.entries())
    opening.catch((cause) => {
      send(2 * index + 1, Buffer.from(cannotForward(ports[index]!, cause)));
      webSocket.close(1000);
    });
  webSocket.on('message', (message: Buffer) => {
    const channel = message[0] ?? 1;
    if (channel % 2 === 0)
      inside[channel / 2]?.then((socket) => write(socket, message.subarray(1), webSocket)).catch(() => {});
  });
  webSocket.once('close', () => {
    for (const opening of inside) opening.then((socket) => socket.destroy()).catch(() => {});
  });
}

function write(socket: Socket, data: Buffer, from: WebSocket): void {
  if (socket.write(data)) return;
  from.pause();
  socket.once('drain', () => from.resume());
}
