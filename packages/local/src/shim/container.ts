import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, closeSync, constants, openSync, readFileSync, readlinkSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { constants as os } from 'node:os';
import { basename } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { oomKills } from '../cgroup/limits.ts';
import { POD_MARK, processRef, SYSTEM_PATH, signal, signalTree } from '../net/processes.ts';
import { inGroup } from './enter-group.ts';
import { LogWriter } from './log-writer.ts';
import type { ContainerRecord, StartRequest } from './protocol.ts';
import { inTerminal } from './terminal.ts';

/** Descriptors of the sandbox: its options come in, the number of its first process goes out. */
const ARGS_FD = 3;
const INFO_FD = 4;
/** How long the building of a sandbox may take before somebody who wants to enter it is let try. */
const ENTER_MS = 5000;
const BEGINNING_MS = 10_000;
const BEGINNING_BYTES = 64 * 1024;

/** One run of a container. */
export class RunningContainer {
  readonly record: ContainerRecord;
  readonly request: StartRequest;
  readonly child: ChildProcess;
  readonly stdin: Writable | null;
  /** What it says, by the channels of CHANNEL. */
  readonly streams: { 1: Readable; 2: Readable };
  /** What it said in its first seconds, for those who attach to what they have just started. */
  beginning: { channel: 1 | 2; data: Buffer }[] = [];
  /** Resolves when it has ended and all that it said has been read. */
  readonly ended: Promise<void>;
  private readonly exited = Promise.withResolvers<void>();
  private readonly killsBefore: number;

  /** Starts it. `onChange` is told when its first process is known, and when it has ended. */
  constructor(request: StartRequest, onChange: (record: ContainerRecord) => void) {
    this.request = request;
    const { id, name, attempt, log } = request;
    this.record = { id, name, attempt, log, startedAt: new Date().toISOString() };
    const [program, ...args] = inGroup(request.cgroup, request.command);
    this.killsBefore = this.kills();
    const argv = request.tty ? inTerminal(request.argv) : request.argv;
    const own = ['--args', String(ARGS_FD), '--info-fd', String(INFO_FD), '--', ...argv];
    const out = openOutput(`${log}.out`, request.owner);
    const err = openOutput(`${log}.err`, request.owner);
    this.child = spawn(program!, [...args, ...own], {
      stdio: [request.stdin ? 'pipe' : 'ignore', out.write, err.write, 'pipe', 'pipe'],
      env: { PATH: SYSTEM_PATH, [POD_MARK]: request.env[POD_MARK] ?? '' },
      cwd: '/',
    });
    closeSync(out.write);
    closeSync(err.write);
    this.stdin = this.child.stdin;
    this.stdin?.on('error', () => {});
    this.streams = { 1: out.read, 2: err.read };
    this.keepBeginning();
    const writer = new LogWriter(log);
    writer.attach(out.read, 'stdout');
    writer.attach(err.read, 'stderr');
    const options = this.child.stdio[ARGS_FD] as Writable;
    options.on('error', () => {});
    options.end(request.sandbox.map((argument) => `${argument}\0`).join(''));
    readInfo(this.child.stdio[INFO_FD] as Readable, (pid) => {
      this.record.init = processRef(pid);
      onChange(this.record);
    });
    this.child.once('error', (error) => {
      this.record.error = error.message;
      this.finish(128, onChange);
    });
    // Every process of the container is gone by now: its PID space ends before its first process is reaped.
    this.child.once('exit', (code, by) => this.finish(code ?? 128 + signalNumber(by), onChange));
    const closed = Promise.all([out.read, err.read].map((stream) => once(stream, 'close')));
    closed.then(() => writer.end()).catch(() => {});
    this.ended = Promise.all([closed, this.exited.promise]).then(() => {});
  }

  get running(): boolean {
    return this.record.finishedAt === undefined;
  }

  /** Its first process, once that has left the sandbox's builder behind; undefined when it does not run. */
  async entered(): Promise<number | undefined> {
    const end = Date.now() + ENTER_MS;
    while (this.running && Date.now() < end) {
      const pid = this.record.init?.pid;
      if (pid !== undefined && !isBuilder(pid)) break;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return this.running ? this.record.init?.pid : undefined;
  }

  /**
   * Sends its first process a signal; false when it does not run. While the sandbox is still being built, a KILL ends
   * that, and anything else waits for the container's own program: as process 1 the builder would lose it.
   */
  signal(name: NodeJS.Signals): boolean {
    if (!this.running) return false;
    const { init } = this.record;
    if (init && (name === 'SIGKILL' || !isBuilder(init.pid))) return signal(init, name);
    if (name === 'SIGKILL') {
      if (this.child.pid) signalTree([this.child.pid], name);
    } else
      void this.entered().then((pid) => {
        if (pid !== undefined && this.record.init) signal(this.record.init, name);
      });
    return true;
  }

  private keepBeginning(): void {
    let size = 0;
    const keep = ([1, 2] as const).map((channel) => {
      const take = (data: Buffer): void => {
        size += data.length;
        if (size <= BEGINNING_BYTES) this.beginning.push({ channel, data });
      };
      this.streams[channel].on('data', take);
      return () => this.streams[channel].off('data', take);
    });
    const timer = setTimeout(() => {
      for (const end of keep) end();
      this.beginning = [];
    }, BEGINNING_MS);
    timer.unref();
  }

  /** How often the kernel killed in the container's group, since that was made. */
  private kills(): number {
    const file = this.request.cgroup?.events;
    try {
      return file ? oomKills(readFileSync(file, 'utf8')) : 0;
    } catch {
      return 0;
    }
  }

  private finish(exitCode: number, onChange: (record: ContainerRecord) => void): void {
    if (!this.running) return;
    this.record.finishedAt = new Date().toISOString();
    this.record.exitCode = exitCode;
    if (this.kills() > this.killsBefore) this.record.oomKilled = true;
    this.exited.resolve();
    onChange(this.record);
  }
}

/**
 * A named pipe for what a container says, its name gone again at once. Unlike the socket pair that `spawn` would
 * make, it can be opened again as /dev/stdout; so it belongs to the container's user.
 */
function openOutput(path: string, owner: number | undefined): { read: Socket; write: number } {
  execFileSync('mkfifo', ['-m', '0600', path]);
  try {
    if (owner !== undefined) chownSync(path, owner, owner);
    const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const write = openSync(path, constants.O_WRONLY);
    return { read: new Socket({ fd: reading, readable: true, writable: false }), write };
  } finally {
    unlinkSync(path);
  }
}

/** Whether a process is still bwrap, which has not made all mounts before it becomes the container's program. */
function isBuilder(pid: number): boolean {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)) === 'bwrap';
  } catch {
    return false;
  }
}

function signalNumber(name: NodeJS.Signals | null): number {
  return name === null ? 0 : os.signals[name];
}

function readInfo(stream: Readable, found: (pid: number) => void): void {
  let text = '';
  let told = false;
  stream.on('error', () => {});
  // Read to its end: bwrap writes in pieces, and a pipe closed early would kill it with SIGPIPE.
  stream.on('data', (chunk) => {
    if (told) return;
    text += chunk;
    const match = /"child-pid":\s*(\d+)/.exec(text);
    if (!match) return;
    told = true;
    found(Number(match[1]));
  });
}
