import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { LocalError } from '../errors.ts';
import { podDevice } from '../net/addresses.ts';
import { markedEnv } from '../net/processes.ts';
import { podLinkInside, podLinkOutside } from '../net/topology.ts';
import { programFile } from '../programs.ts';
import type { StateLayout } from '../state.ts';
import {
  type AttachRequest,
  type ConnectRequest,
  type ContainerRecord,
  type ExecRequest,
  LineReader,
  type ShimAnswer,
  type ShimEvent,
  type ShimRequest,
  type ShimState,
} from './protocol.ts';

/** Where root's pods see their volumes: a pod's user may not enter the folders above the state folder. */
/**
 * Each state folder has its own mount point: removing one that others mount on takes their mounts away.
 */
export function stageFolder(state: string): string {
  return `/run/pgherd-${createHash('sha256').update(state).digest('hex').slice(0, 12)}`;
}

export interface SandboxOptions {
  layout: StateLayout;
  pod: ShimState['pod'];
  node: string;
  ip: string;
  /** A process in the node's network namespace. */
  nodePid: number;
  /** As root, volumes are staged under stageFolder(). */
  root: boolean;
}

/**
 * Makes a pod's network and mount spaces and starts its shim there. Must run as root of the node's namespaces.
 * @throws LocalError SandboxFailed with what the tools said
 */
export async function startSandbox(options: SandboxOptions): Promise<void> {
  const { layout, pod, node, ip, nodePid } = options;
  const paths = layout.pod(pod.uid);
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  const device = podDevice(ip);
  const stage = stageFolder(layout.dir);
  const argument = JSON.stringify({
    socket: paths.socket,
    file: paths.shim,
    state: { pod, node, ip, createdAt: new Date().toISOString(), containers: previousRuns(paths.shim) },
  });
  const script = `ip -batch - <<END
${podLinkInside(ip, device, nodePid)}END
nsenter -t ${nodePid} -n ip -batch - <<END
${podLinkOutside(ip, device)}END
${options.root ? `mkdir -p ${stage}; mount -t tmpfs -o mode=0755 pgherd ${stage}` : ''}
exec "$@"`;
  const log = openSync(`${paths.dir}/shim.log`, 'a', 0o600);
  const child = spawn(
    'unshare',
    [
      '-n',
      '-m',
      '--propagation',
      'private',
      'sh',
      '-ec',
      script,
      'sh',
      process.execPath,
      programFile('shim'),
      argument,
    ],
    {
      detached: true,
      stdio: ['ignore', 'pipe', log],
      env: markedEnv(layout.dir, `shim-${node}`, { NODE_OPTIONS: '--max-semi-space-size=1' }),
      cwd: '/',
    },
  );
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('error', (cause) => reject(new LocalError('SandboxFailed', String(cause), '', { cause })));
    const exited = (code: number | null): void =>
      reject(new LocalError('SandboxFailed', failure(paths.dir, code)));
    child.once('exit', exited);
    child.stdout!.once('data', () => {
      // When it ends later, its folder may be gone already.
      child.off('exit', exited);
      resolve();
    });
  });
  child.stdout!.destroy();
  child.unref();
}

function failure(dir: string, code: number | null): string {
  const said = readFileSync(`${dir}/shim.log`, 'utf8').trim().split('\n').slice(-3).join('; ');
  return `starting the sandbox: ${said || `exit code ${code}`}`;
}

/** shim.json, or undefined when there is none that can be read. */
export function readShimState(file: string): ShimState | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ShimState;
  } catch {
    return undefined;
  }
}

/** Runs that a sandbox before this one had; what still ran then was killed with it. */
function previousRuns(file: string): ContainerRecord[] {
  return (readShimState(file)?.containers ?? []).map(withEnd);
}

/** The record of a run whose sandbox is dead: its end is certain, its time is not. */
export function withEnd(record: ContainerRecord): ContainerRecord {
  if (record.finishedAt !== undefined) return record;
  return { ...record, finishedAt: new Date().toISOString(), exitCode: 137 };
}

/** A connection to a pod's shim. */
export class ShimClient {
  private readonly socket: Socket;
  private readonly waiting = new Map<number, (answer: ShimAnswer | Error) => void>();
  private number = 0;

  /** Use `connectShim`. */
  constructor(socket: Socket, onEvent: (event: ShimEvent) => void, onClose: () => void) {
    this.socket = socket;
    const lines = new LineReader();
    socket.on('data', (chunk) => {
      for (const line of lines.push(chunk)) {
        const message = JSON.parse(line) as ShimAnswer | ShimEvent;
        // After the answers that came before it: a container that ends at once would end before it was known.
        if ('event' in message) setImmediate(onEvent, message);
        else this.take(message);
      }
    });
    socket.once('close', () => {
      for (const settle of this.waiting.values()) settle(new Error('the shim closed its connection'));
      this.waiting.clear();
      onClose();
    });
  }

  /** Asks, and waits at most 10 s. @throws LocalError SandboxFailed */
  async ask(request: ShimRequest): Promise<ShimAnswer> {
    const no = ++this.number;
    const answer = await new Promise<ShimAnswer | Error>((resolve) => {
      const timer = setTimeout(() => resolve(new Error('no answer within 10 s')), 10_000);
      this.waiting.set(no, (settled) => {
        clearTimeout(timer);
        resolve(settled);
      });
      this.socket.write(`${JSON.stringify({ no, ...request })}\n`);
    });
    this.waiting.delete(no);
    if (answer instanceof Error || answer.error)
      throw new LocalError(
        'SandboxFailed',
        `asking the shim to ${request.op}: ${answer instanceof Error ? answer.message : answer.error}`,
      );
    return answer;
  }

  close(): void {
    this.socket.destroy();
  }

  private take(answer: ShimAnswer): void {
    this.waiting.get(answer.re)?.(answer);
  }
}

/** Connects to a shim. @throws the socket's error when nobody listens */
export async function connectShim(
  path: string,
  onEvent: (event: ShimEvent) => void = () => {},
  onClose: () => void = () => {},
): Promise<ShimClient> {
  const socket = await open(path);
  return new ShimClient(socket, onEvent, onClose);
}

/** Opens a connection that runs one command in a container, or joins what runs there (see CHANNEL). */
export async function openExec(path: string, request: ExecRequest | AttachRequest): Promise<Socket> {
  const socket = await open(path);
  socket.write(`${JSON.stringify(request)}\n`);
  return socket;
}

/**
 * Opens a connection to a port inside the pod.
 * @throws LocalError BadRequest when nobody answers there
 */
export async function openPort(path: string, port: number): Promise<Socket> {
  const socket = await open(path, true);
  socket.write(`${JSON.stringify({ op: 'connect', port } satisfies ConnectRequest)}\n`);
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const parts: Buffer[] = [];
    const ended = (): void => reject(new LocalError('SandboxFailed', 'the shim closed the connection'));
    const take = (chunk: Buffer): void => {
      parts.push(chunk);
      if (!chunk.includes(10)) return;
      socket.off('data', take).off('close', ended).pause();
      resolve(Buffer.concat(parts));
    };
    socket.on('data', take).once('close', ended);
  });
  const end = answer.indexOf(10);
  const { error } = JSON.parse(answer.subarray(0, end).toString()) as { error?: string };
  if (error !== undefined) {
    socket.destroy();
    throw new LocalError('BadRequest', error);
  }
  if (end + 1 < answer.length) socket.unshift(answer.subarray(end + 1));
  return socket;
}

function open(path: string, allowHalfOpen = false): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen }, () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
