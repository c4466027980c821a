/** Running commands in pods, as kubectl exec does. */
import { PassThrough, Writable } from 'node:stream';
import type { Client, Pod } from '@pgherd/kube';
import { exec } from '@pgherd/kube/streams';

/** The container of an instance's pod that runs the database. */
export const DATABASE_CONTAINER = 'postgres';

/**
 * Runs a command with this terminal's input and output and returns its exit code. A terminal on both ends becomes
 * a terminal in the pod.
 */
export async function runInPod(
  client: Client,
  pod: Pod,
  command: string[],
  options: { stdin?: boolean; container?: string } = {},
): Promise<number> {
  const tty = options.stdin !== false && process.stdin.isTTY === true && process.stdout.isTTY === true;
  const stdin = options.stdin === false ? undefined : process.stdin;
  if (tty) process.stdin.setRawMode(true);
  try {
    return await exec(client, ref(pod), {
      container: options.container ?? DATABASE_CONTAINER,
      command: tty ? ['env', `TERM=${process.env.TERM ?? 'xterm'}`, ...command] : command,
      stdin,
      stdout: process.stdout,
      stderr: tty ? undefined : process.stderr,
      tty,
      onResize: tty ? followTerminalSize : undefined,
    });
  } finally {
    if (tty) process.stdin.setRawMode(false);
    // An open terminal or pipe would keep the process alive.
    process.stdin.pause();
    process.stdin.unref?.();
  }
}

function followTerminalSize(send: (size: { columns: number; rows: number }) => void): () => void {
  const tell = () => send({ columns: process.stdout.columns, rows: process.stdout.rows });
  tell();
  process.stdout.on('resize', tell);
  return () => process.stdout.off('resize', tell);
}

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command and returns what it printed. `timeoutMs` ends the wait, not the command. */
export async function captureInPod(
  client: Client,
  pod: { metadata: { name: string; namespace?: string } },
  command: string[],
  options: { container?: string; timeoutMs?: number; input?: string } = {},
): Promise<Output> {
  const out = collector();
  const err = collector();
  const code = await exec(client, ref(pod), {
    container: options.container ?? DATABASE_CONTAINER,
    command,
    stdin: options.input === undefined ? undefined : new PassThrough().end(options.input),
    stdout: out.stream,
    stderr: err.stream,
    signal: AbortSignal.timeout(options.timeoutMs ?? 15_000),
  });
  return { code, stdout: out.text(), stderr: err.text() };
}

function ref(pod: { metadata: { name: string; namespace?: string } }): { name: string; namespace?: string } {
  return { name: pod.metadata.name, namespace: pod.metadata.namespace };
}

function collector(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}
