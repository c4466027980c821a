import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isTrue } from '../../query.ts';
import { CHANNEL, FrameReader, frame } from '../../shim/protocol.ts';
import { SpdySession, type SpdyStream } from './spdy.ts';

const PROTOCOL = 'v4.channel.k8s.io';

type Name = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize';
type Streams = Partial<Record<string, SpdyStream>>;

/** Serves an exec or attach of a client that speaks SPDY: older kubectl, and many programs in Go. */
export function serveSpdyStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  query: URLSearchParams,
  open: () => Promise<Socket>,
  statusOf: (result: { exitCode?: number; error?: string }) => object,
): void {
  const offered = String(request.headers['x-stream-protocol-version'] ?? '').split(/,\s*/);
  if (!offered.includes(PROTOCOL)) {
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    return;
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PROTOCOL}\r\n\r\n`,
  );
  const wanted = wantedStreams(query);
  const streams: Streams = {};
  const session = new SpdySession(
    {
      send: (data, done) => socket.write(data, done),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: () => socket.end(),
    },
    (stream) => {
      streams[stream.headers.streamtype ?? ''] = stream;
      if (wanted.every((name) => streams[name])) void carry(streams, open, statusOf);
    },
  );
  socket.on('data', (chunk: Buffer) => session.push(chunk));
  socket.once('end', () => session.close());
  socket.once('close', () => session.close());
  if (head.length > 0) session.push(head);
}

function wantedStreams(query: URLSearchParams): Name[] {
  const tty = isTrue(query.get('tty'));
  const asked = (['stdin', 'stdout', 'stderr'] as const).filter((name) => isTrue(query.get(name)));
  return [
    'error',
    ...asked.filter((name) => !(tty && name === 'stderr')),
    ...(tty ? (['resize'] as const) : []),
  ];
}

async function carry(
  streams: Streams,
  open: () => Promise<Socket>,
  statusOf: (result: { exitCode?: number; error?: string }) => object,
): Promise<void> {
  let over = false;
  const end = (result: { exitCode?: number; error?: string }): void => {
    if (over) return;
    over = true;
    streams.stdout?.end();
    streams.stderr?.end();
    streams.error?.end(JSON.stringify(statusOf(result)));
  };
  try {
    const connection = await open();
    streams.error?.once('close', () => connection.destroy());
    input(streams, connection);
    const frames = new FrameReader();
    connection.on('data', (chunk: Buffer) => {
      for (const { channel, data } of frames.push(chunk)) {
        if (channel === CHANNEL.result) end(JSON.parse(data.toString()));
        else output(channel === CHANNEL.stderr ? streams.stderr : streams.stdout, data, connection);
      }
    });
    connection.once('close', () => end({ error: 'the container ended' }));
  } catch (error) {
    end({ error: error instanceof Error ? error.message : String(error) });
  }
}

function input({ stdin, resize, error, stdout, stderr }: Streams, connection: Socket): void {
  for (const stream of [error, stdout, stderr]) stream?.resume();
  stdin?.on('data', (data: Buffer) => {
    if (connection.write(frame(CHANNEL.stdin, data))) return;
    stdin.pause();
    connection.once('drain', () => stdin.resume());
  });
  stdin?.once('end', () => connection.write(frame(CHANNEL.endStdin, Buffer.alloc(0))));
  // One size a line; each comes in a frame of its own.
  resize?.on('data', (data: Buffer) => connection.write(frame(CHANNEL.resize, data)));
}

function output(stream: SpdyStream | undefined, data: Buffer, connection: Socket): void {
  if (!stream || stream.writableEnded || stream.write(data)) return;
  connection.pause();
  stream.once('drain', () => connection.resume());
  stream.once('close', () => connection.resume());
}
