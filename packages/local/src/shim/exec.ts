import { type ChildProcess, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { signalTree, withDescendants } from '../net/processes.ts';
import type { RunningContainer } from './container.ts';
import { CHANNEL, type ExecRequest, FrameReader, frame } from './protocol.ts';

/** Runs a command inside a container over a connection, until it ends or the connection does. */
export async function exec(
  socket: Socket,
  request: ExecRequest,
  container: RunningContainer | undefined,
  first: Buffer,
): Promise<void> {
  socket.pause();
  const pid = await container?.entered();
  socket.resume();
  if (!container || pid === undefined) {
    finish(socket, { error: `container ${request.container} is not running` });
    return;
  }
  const { enter, env, cwd } = container.request;
  const inner = request.tty ? ['script', '-qefc', quoted(request.command), '/dev/null'] : request.command;
  const [program, ...args] = [...enter.before, String(pid), ...enter.after, `--wdns=${cwd}`, '--', ...inner];
  const child = spawn(program!, args, {
    env: { TERM: 'xterm', ...env },
    stdio: [request.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    cwd: '/',
  });
  forward(socket, child);
  const inside = [...enter.before, String(pid), ...enter.after, '--'];
  receive(socket, child, first, (data) => {
    if (request.tty) void resizeTerminal(child, inside, data);
  });
}

/** How often and how long apart a terminal is looked for that `script` is still making. */
const TERMINAL_TRIES = 40;
const TERMINAL_WAIT_MS = 25;

/** Tells the terminal of an exec how large the user's is. */
async function resizeTerminal(child: ChildProcess, inside: string[], data: Buffer): Promise<void> {
  const { Width, Height } = JSON.parse(data.toString()) as { Width: number; Height: number };
  if (!Width || !Height) return;
  for (let tries = 0; tries < TERMINAL_TRIES && child.exitCode === null; tries++) {
    const terminal = terminalOf(child.pid);
    if (terminal) {
      const [program, ...args] = [...inside, 'stty', '-F', terminal, 'cols', `${Width}`, 'rows', `${Height}`];
      spawn(program!, args, { stdio: 'ignore', cwd: '/' }).on('error', () => {});
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, TERMINAL_WAIT_MS));
  }
}

function terminalOf(pid: number | undefined): string | undefined {
  if (pid === undefined) return undefined;
  for (const each of withDescendants([pid])) {
    try {
      const target = readlinkSync(`/proc/${each}/fd/0`);
      if (target.startsWith('/dev/pts/')) return target;
    } catch {
      // It has just ended.
    }
  }
  return undefined;
}

function forward(socket: Socket, child: ChildProcess): void {
  for (const [stream, channel] of [
    [child.stdout!, CHANNEL.stdout],
    [child.stderr!, CHANNEL.stderr],
  ] as const) {
    stream.on('data', (chunk: Buffer) => {
      if (!socket.write(frame(channel, chunk))) stream.pause();
    });
  }
  socket.on('drain', () => {
    child.stdout?.resume();
    child.stderr?.resume();
  });
  let ended = false;
  child.once('error', (error) => finish(socket, { error: error.message }));
  child.once('close', (code, by) => {
    ended = true;
    finish(socket, { exitCode: code ?? (by === 'SIGKILL' ? 137 : 143) });
  });
  // Who asked has gone away: nobody waits for this any more.
  socket.once('close', () => {
    if (!ended && child.pid) signalTree([child.pid], 'SIGKILL');
  });
}

function receive(socket: Socket, child: ChildProcess, first: Buffer, resize: (data: Buffer) => void): void {
  const frames = new FrameReader();
  const { stdin } = child;
  stdin?.on('error', () => {});
  const take = (chunk: Buffer): void => {
    for (const { channel, data } of frames.push(chunk)) {
      if (channel === CHANNEL.stdin && stdin && !stdin.write(data)) {
        socket.pause();
        stdin.once('drain', () => socket.resume());
      } else if (channel === CHANNEL.endStdin) stdin?.end();
      else if (channel === CHANNEL.resize) resize(data);
    }
  };
  if (first.length > 0) take(first);
  socket.on('data', take);
}

function finish(socket: Socket, result: { exitCode?: number; error?: string }): void {
  socket.end(frame(CHANNEL.result, Buffer.from(JSON.stringify(result))));
}

function quoted(command: string[]): string {
  return command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
}
