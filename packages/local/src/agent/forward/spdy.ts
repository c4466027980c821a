import { Duplex } from 'node:stream';
import { emptyBlock, HeaderReader } from './spdy-headers.ts';

/**
 * The server's side of SPDY/3.1 as Kubernetes uses it to carry streams: no priorities, and no flow control, since
 * its clients have none. A stream that is not read stops the whole connection, as it does with them.
 */

const VERSION = 3;
const TYPE = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7 } as const;
const FIN = 1;
const CANCEL = 5;
const MAX_FRAME = 1 << 20;

export interface Transport {
  /** `done` is called once the data have left; whoever waits for it keeps the pace of the network. */
  send(data: Buffer, done?: (error?: Error | null) => void): void;
  pause(): void;
  resume(): void;
  close(): void;
}

function controlFrame(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8000 | VERSION, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(((flags << 24) | body.length) >>> 0, 4);
  return Buffer.concat([head, body]);
}

function numbers(...values: number[]): Buffer {
  const data = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) data.writeUInt32BE(value, index * 4);
  return data;
}

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: Record<string, string>;
  private readonly session: SpdySession;
  /** The peer has ended it: nothing more need be told. */
  reset = false;

  constructor(session: SpdySession, id: number, headers: Record<string, string>) {
    super({ allowHalfOpen: true });
    this.session = session;
    this.id = id;
    this.headers = headers;
    // Whoever uses the stream hears of errors by its end; an error nobody listens to must not end the agent.
    this.on('error', () => {});
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.session.sendData(this.id, 0, chunk, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.session.sendData(this.id, FIN, Buffer.alloc(0), done);
  }

  override _read(): void {
    this.session.flows(this);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.session.forget(this, this.readableEnded && this.writableFinished);
    done(error);
  }
}

export class SpdySession {
  private readonly transport: Transport;
  private readonly onStream: (stream: SpdyStream) => void;
  private readonly headers = new HeaderReader();
  private readonly streams = new Map<number, SpdyStream>();
  private readonly full = new Set<SpdyStream>();
  private buffer: Buffer = Buffer.alloc(0);
  private working = false;
  private replied = false;
  private closed = false;

  constructor(transport: Transport, onStream: (stream: SpdyStream) => void) {
    this.transport = transport;
    this.onStream = onStream;
  }

  /** Bytes from the peer. */
  push(chunk: Buffer): void {
    this.buffer = this.buffer.length === 0 ? chunk : Buffer.concat([this.buffer, chunk]);
    if (this.working || this.closed) return;
    this.work().catch(() => this.close());
  }

  /** The connection has ended, or is to end. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.headers.close();
    for (const stream of [...this.streams.values()]) stream.destroy();
    this.transport.close();
  }

  sendData(id: number, flags: number, data: Buffer, done: (error?: Error | null) => void): void {
    if (this.closed) done(new Error('the connection has ended'));
    else this.transport.send(Buffer.concat([numbers(id, ((flags << 24) | data.length) >>> 0), data]), done);
  }

  /** A stream can take more. */
  flows(stream: SpdyStream): void {
    if (this.full.delete(stream) && this.full.size === 0) this.transport.resume();
  }

  forget(stream: SpdyStream, complete: boolean): void {
    this.streams.delete(stream.id);
    this.flows(stream);
    if (!complete && !stream.reset && !this.closed)
      this.transport.send(controlFrame(TYPE.rstStream, 0, numbers(stream.id, CANCEL)));
  }

  private async work(): Promise<void> {
    this.working = true;
    try {
      while (!this.closed && this.buffer.length >= 8) {
        const first = this.buffer.readUInt32BE(0);
        const second = this.buffer.readUInt32BE(4);
        const end = 8 + (second & 0xffffff);
        if (end > MAX_FRAME) throw new Error('a frame is too long');
        if (this.buffer.length < end) return;
        const body = this.buffer.subarray(8, end);
        this.buffer = this.buffer.subarray(end);
        if (first >>> 31) await this.control(first & 0xffff, second >>> 24, body);
        else this.data(first, second >>> 24, body);
      }
    } finally {
      // In the same step as the last look at the buffer: what is pushed next must find nobody at work.
      this.working = false;
    }
  }

  private data(id: number, flags: number, body: Buffer): void {
    const stream = this.streams.get(id);
    if (!stream || stream.destroyed) return;
    if (body.length > 0 && !stream.push(body)) {
      this.full.add(stream);
      this.transport.pause();
    }
    if (flags & FIN) stream.push(null);
  }

  private async control(type: number, flags: number, body: Buffer): Promise<void> {
    switch (type) {
      case TYPE.synStream:
        return this.open(body.readUInt32BE(0), flags, body.subarray(10));
      case TYPE.rstStream: {
        const stream = this.streams.get(body.readUInt32BE(0));
        if (!stream) return;
        stream.reset = true;
        stream.destroy();
        return;
      }
      case TYPE.ping:
        this.transport.send(controlFrame(TYPE.ping, 0, body));
        return;
      case TYPE.goAway:
        return this.streams.size === 0 ? this.close() : undefined;
    }
  }

  private async open(id: number, flags: number, block: Buffer): Promise<void> {
    const headers = await this.headers.read(block);
    if (this.closed) return;
    const stream = new SpdyStream(this, id, headers);
    this.streams.set(id, stream);
    this.transport.send(
      controlFrame(TYPE.synReply, 0, Buffer.concat([numbers(id), emptyBlock(!this.replied)])),
    );
    this.replied = true;
    if (flags & FIN) stream.push(null);
    this.onStream(stream);
  }
}
