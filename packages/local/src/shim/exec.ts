import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { signalTree } from '../net/processes.ts';
import type { RunningContainer } from './container.ts';
import { inGroup } from './enter-group.ts';
import { CHANNEL, type ExecRequest, FrameReader, frame } from './protocol.ts';
import { inTerminal, resizeTerminal } from './terminal.ts';

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
  const { enter, env, cwd, cgroup } = container.request;
  const inner = request.tty ? inTerminal(request.command) : request.command;
  const entering = [...enter.before, String(pid), ...enter.after, `--wdns=${cwd}`, '--', ...inner];
  const [program, ...args] = inGroup(cgroup, entering);
  const child = spawn(program!, args, {
    env: { TERM: 'xterm', ...env },
    stdio: [request.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    cwd: '/',
  });
  forward(socket, child);
  const inside = [...enter.before, String(pid), ...enter.after, '--'];
  receive(socket, child.stdin, first, (data) => {
    if (request.tty) void resizeTerminal(child, inside, data);
  });
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

/** Hands on what comes from who asked: input, its end, the size of a terminal. */
export function receive(
  socket: Socket,
  stdin: Writable | null,
  first: Buffer,
  resize: (data: Buffer) => void,
): void {
  const frames = new FrameReader();
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

/** Says how it ended, and closes. */
export function finish(socket: Socket, result: { exitCode?: number; error?: string }): void {
  socket.end(frame(CHANNEL.result, Buffer.from(JSON.stringify(result))));
}
