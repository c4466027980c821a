import { Duplex, type Readable, type Writable } from 'node:stream';
import WebSocket from 'ws';
import { type Client, objectPath } from './client.ts';
import { errorFromStatus, KubeError, type Status } from './errors.ts';
import { kinds } from './kinds.ts';
import { tlsOptions } from './transport.ts';
import type { ObjectRef } from './types.ts';

export interface LogOptions {
  container?: string;
  follow?: boolean;
  previous?: boolean;
  tailLines?: number;
  sinceSeconds?: number;
  timestamps?: boolean;
  signal?: AbortSignal;
}

/** The log of a container as it comes; with `follow` until `signal` or the end of the container. */
export async function logs(client: Client, pod: ObjectRef, options: LogOptions = {}): Promise<Readable> {
  const { signal, ...query } = options;
  const answer = await client.stream({
    path: objectPath(kinds.Pod, pod, 'log'),
    query,
    headers: { accept: '*/*' },
    signal,
    doing: `reading the log of Pod ${pod.namespace}/${pod.name}`,
  });
  const end = () => answer.destroy();
  if (signal?.aborted) end();
  signal?.addEventListener('abort', end, { once: true });
  answer.once('close', () => signal?.removeEventListener('abort', end));
  return answer;
}

export interface ExecOptions {
  container?: string;
  command: string[];
  stdin?: Readable;
  stdout?: Writable;
  stderr?: Writable;
  tty?: boolean;
  /** Called once with what sends a size; returns what ends the reporting. */
  onResize?: (send: (size: { columns: number; rows: number }) => void) => () => void;
  signal?: AbortSignal;
}

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** More than this waiting to be sent: the source has to pause. */
const HIGH_WATER = 1 << 20;

/** Runs a command in a container; resolves with its exit code. Throws KubeError when it could not run. */
export async function exec(client: Client, pod: ObjectRef, options: ExecOptions): Promise<number> {
  const doing = `running ${options.command[0]} in Pod ${pod.namespace}/${pod.name}`;
  const query = new URLSearchParams({
    stdout: 'true',
    stderr: String(!options.tty),
    stdin: String(!!options.stdin),
  });
  if (options.tty) query.set('tty', 'true');
  if (options.container) query.set('container', options.container);
  for (const word of options.command) query.append('command', word);
  const socket = await connect(
    client,
    `${objectPath(kinds.Pod, pod, 'exec')}?${query}`,
    ['v5.channel.k8s.io'],
    doing,
  );
  const stopInput = options.stdin ? pipeInput(socket, options.stdin) : () => {};
  const stopResize = options.onResize?.((size) =>
    sendFrame(
      socket,
      CHANNEL.resize,
      Buffer.from(JSON.stringify({ Width: size.columns, Height: size.rows })),
    ),
  );
  const abort = () => socket.terminate();
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    return await outcome(socket, options, doing);
  } finally {
    options.signal?.removeEventListener('abort', abort);
    stopInput();
    stopResize?.();
    socket.close();
  }
}

/** Hands output on until the server says how the command ended. */
function outcome(socket: WebSocket, options: ExecOptions, doing: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let status: Status | undefined;
    socket.on('message', (data: Buffer) => {
      const payload = data.subarray(1);
      if (data[0] === CHANNEL.error) {
        status = JSON.parse(payload.toString()) as Status;
        return;
      }
      const target =
        data[0] === CHANNEL.stdout ? options.stdout : data[0] === CHANNEL.stderr ? options.stderr : undefined;
      if (!target || payload.length === 0) return;
      if (!target.write(payload)) {
        socket.pause();
        target.once('drain', () => socket.resume());
      }
    });
    socket.on('error', (cause) =>
      reject(new KubeError('Unreachable', `${doing}: the connection broke`, { cause })),
    );
    socket.on('close', () => {
      if (status) {
        const code = exitCode(status);
        if (code !== undefined) resolve(code);
        else reject(errorFromStatus(doing, status.code ?? 500, status));
        return;
      }
      const code = options.signal?.aborted ? 'Aborted' : 'Unreachable';
      reject(new KubeError(code, `${doing}: the connection ended before the command did`));
    });
    socket.resume();
  });
}

/** The exit code in the Status that ends an exec; undefined when the command never ran. */
export function exitCode(status: Status): number | undefined {
  if (status.status === 'Success') return 0;
  if (status.reason !== 'NonZeroExitCode') return undefined;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  return cause ? Number(cause.message) : 1;
}

function sendFrame(socket: WebSocket, channel: number, payload: Buffer): void {
  if (socket.readyState === WebSocket.OPEN) socket.send(Buffer.concat([Buffer.from([channel]), payload]));
}

function pipeInput(socket: WebSocket, stdin: Readable): () => void {
  const onData = (chunk: Buffer | string) => {
    const frame = Buffer.concat([Buffer.from([CHANNEL.stdin]), Buffer.from(chunk)]);
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(frame, () => {
      if (socket.bufferedAmount < HIGH_WATER) stdin.resume();
    });
    if (socket.bufferedAmount >= HIGH_WATER) stdin.pause();
  };
  const onEnd = () => sendFrame(socket, CHANNEL.close, Buffer.from([CHANNEL.stdin]));
  stdin.on('data', onData);
  stdin.once('end', onEnd);
  return () => {
    stdin.off('data', onData);
    stdin.off('end', onEnd);
    stdin.pause();
  };
}

/**
 * One connection to a port of a pod. Each message on the socket carries a channel: 0 data, 1 an error text; the
 * first of each is the port number, twice two bytes, and means nothing to us.
 */
export async function portForward(client: Client, pod: ObjectRef, port: number): Promise<Duplex> {
  const doing = `forwarding to port ${port} of Pod ${pod.namespace}/${pod.name}`;
  const path = `${objectPath(kinds.Pod, pod, 'portforward')}?ports=${port}`;
  const socket = await connect(client, path, ['v4.channel.k8s.io'], doing);
  const greeted = new Set<number>();
  const stream = new Duplex({
    allowHalfOpen: false,
    write: (chunk: Buffer, _encoding, done) => socket.send(Buffer.concat([Buffer.from([0]), chunk]), done),
    read: () => socket.resume(),
    final: (done) => {
      socket.close();
      done();
    },
    destroy: (error, done) => {
      socket.terminate();
      done(error);
    },
  });
  socket.on('message', (data: Buffer) => {
    const channel = data[0]!;
    if (!greeted.has(channel)) {
      greeted.add(channel);
      return;
    }
    const payload = data.subarray(1);
    if (payload.length === 0) return;
    if (channel === 1) stream.destroy(new KubeError('Unreachable', `${doing}: ${payload.toString().trim()}`));
    else if (!stream.push(payload)) socket.pause();
  });
  socket.on('error', (cause) =>
    stream.destroy(new KubeError('Unreachable', `${doing}: the connection broke`, { cause })),
  );
  socket.on('close', () => stream.push(null));
  socket.resume();
  return stream;
}

async function connect(client: Client, path: string, protocols: string[], doing: string): Promise<WebSocket> {
  const { config } = client;
  const base = new URL(config.server);
  const prefix = base.pathname === '/' ? '' : base.pathname.replace(/\/$/, '');
  const socket = new WebSocket(
    `${base.protocol === 'http:' ? 'ws' : 'wss'}://${base.host}${prefix}${path}`,
    protocols,
    {
      ...tlsOptions(config),
      headers: { 'user-agent': config.userAgent ?? 'pgherd', ...(await client.authorization()) },
      handshakeTimeout: 15_000,
      perMessageDeflate: false,
      ...(config.socketPath ? { socketPath: config.socketPath } : {}),
      ...(config.proxy ? { agent: config.proxy.agent(tlsOptions(config)) } : {}),
    },
  );
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => {
      // The server may speak at once: what it says is kept until the caller listens, and resumes.
      socket.pause();
      resolve();
    });
    socket.once('unexpected-response', (_request, answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        reject(errorFromStatus(doing, answer.statusCode ?? 0, parsed(text)));
        socket.terminate();
      });
    });
    socket.once('error', (cause) =>
      reject(
        new KubeError('Unreachable', `${doing}: ${base.host} cannot be reached: ${cause.message}`, { cause }),
      ),
    );
  });
  return socket;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
