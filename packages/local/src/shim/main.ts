/**
 * The shim of one pod: lives in the pod's network and mount spaces, starts and ends its containers, writes their
 * logs, remembers their exits. It outlives the agent and the API. It imports little, since there is one a pod.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { join } from '../net/pipe.ts';
import { processRef } from '../net/processes.ts';
import { writeJson } from '../state.ts';
import { attach } from './attach.ts';
import { RunningContainer } from './container.ts';
import { exec } from './exec.ts';
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
  type Stage,
} from './protocol.ts';

interface Options {
  socket: string;
  file: string;
  state: Omit<ShimState, 'version' | 'shim'>;
}

const options = JSON.parse(process.argv[2]!) as Options;
const state: ShimState = { version: 1, ...options.state, shim: processRef(process.pid)! };
const running = new Map<string, RunningContainer>();
const watchers = new Set<Socket>();
const staged = new Set<string>();

process.on('uncaughtException', (error) => console.error(error));
process.stdout.on('error', () => {});
// A terminal's or a service manager's end is not the pod's.
for (const name of ['SIGHUP', 'SIGINT'] as const) process.on(name, () => {});
process.on('SIGTERM', () => end());

if (existsSync(options.socket)) unlinkSync(options.socket);
save();
createServer({ allowHalfOpen: true }, (socket) => serve(socket)).listen(options.socket, () =>
  process.stdout.write('ready\n'),
);

function save(): void {
  writeJson(options.file, state);
}

function serve(socket: Socket): void {
  const lines = new LineReader();
  const endToo = (): void => void socket.end();
  socket.once('end', endToo);
  const take = (chunk: Buffer): void => {
    for (const line of lines.push(chunk)) {
      const request = JSON.parse(line) as
        | (ShimRequest & { no: number })
        | ExecRequest
        | AttachRequest
        | ConnectRequest;
      if (request.op === 'exec') {
        socket.off('data', take);
        void exec(socket, request, running.get(request.container), lines.rest);
        return;
      }
      if (request.op === 'attach') {
        socket.off('data', take);
        void attach(socket, request, running.get(request.container), lines.rest);
        return;
      }
      if (request.op === 'connect') {
        socket.off('data', take);
        socket.off('end', endToo);
        forward(socket, request.port);
        return;
      }
      handle(socket, request);
    }
  };
  socket.on('data', take);
  socket.on('error', () => {});
  socket.once('close', () => watchers.delete(socket));
}

/** Leads a connection to a port of the pod, as seen from inside it. */
function forward(socket: Socket, port: number): void {
  socket.pause();
  const inside = connect({ host: 'localhost', port, allowHalfOpen: true });
  const refuse = (error: Error): void => void socket.end(`${JSON.stringify({ error: error.message })}\n`);
  inside.once('error', refuse);
  inside.once('connect', () => {
    inside.off('error', refuse);
    socket.write('{}\n');
    join(socket, inside);
  });
}

function handle(socket: Socket, request: ShimRequest & { no: number }): void {
  const answer: ShimAnswer = { re: request.no };
  try {
    if (request.op === 'start') {
      answer.record = start(request);
    } else if (request.op === 'signal') {
      running.get(request.name)?.signal(request.signal);
    } else if (request.op === 'end') {
      end();
    } else {
      if (request.op === 'watch') watchers.add(socket);
      answer.state = state;
    }
  } catch (error) {
    answer.error = error instanceof Error ? error.message : String(error);
  }
  socket.write(`${JSON.stringify(answer)}\n`);
}

function start(request: ShimRequest & { op: 'start' }): ContainerRecord {
  const before = running.get(request.name);
  if (before?.running) throw new Error(`container ${request.name} runs already`);
  for (const stage of request.stages) mount(stage);
  mkdirSync(dirname(request.log), { recursive: true, mode: 0o700 });
  const container = new RunningContainer(request, changed);
  running.set(request.name, container);
  // Of the runs of a container, the last two are told in the pod's status.
  const others = state.containers.filter(({ name }) => name !== request.name);
  const last = state.containers.findLast(({ name }) => name === request.name);
  state.containers = [...others, ...(last ? [last] : []), container.record];
  save();
  return container.record;
}

/** Who watches hears of it before the disk does: a failover may depend on it. */
function changed(record: ContainerRecord): void {
  const event: ShimEvent = { event: record.finishedAt ? 'exited' : 'started', record };
  const line = `${JSON.stringify(event)}\n`;
  for (const socket of watchers) socket.write(line);
  save();
}

function mount(stage: Stage): void {
  if (staged.has(stage.target)) return;
  if (stage.type === 'tmpfs') {
    mkdirSync(stage.target, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', stage.options, 'tmpfs', stage.target], { stdio: 'pipe' });
  } else {
    execFileSync(
      'sh',
      [
        '-ec',
        'if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : >"$2"; fi; mount --rbind "$1" "$2"',
        'sh',
        stage.source,
        stage.target,
      ],
      { stdio: 'pipe' },
    );
  }
  staged.add(stage.target);
}

/** Kills every container and ends, once all of them are seen dead. */
function end(): void {
  for (const container of running.values()) container.signal('SIGKILL');
  const wait = (): void => {
    if ([...running.values()].some((container) => container.running)) {
      setTimeout(wait, 5);
      return;
    }
    save();
    if (existsSync(options.socket)) unlinkSync(options.socket);
    process.exit(0);
  };
  wait();
}
