import type { ContainerGroup } from '../cgroup/groups.ts';
import type { ProcessRef } from '../net/processes.ts';

/** What the shim knows of one run of one container. */
export interface ContainerRecord {
  /** 64 hexadecimal digits; the containerID of the pod's status is `pgherd://` before it. */
  id: string;
  name: string;
  /** 0 for the first run; the restartCount of the pod's status. */
  attempt: number;
  /** First process of the container, as the shim's PID space sees it. */
  init?: ProcessRef;
  startedAt: string;
  finishedAt?: string;
  /** 128 + number for a death by signal. */
  exitCode?: number;
  /** The kernel killed in it for want of memory. */
  oomKilled?: boolean;
  /** Why it could not even start. */
  error?: string;
  log: string;
}

/** shim.json: survives the shim and the machine. */
export interface ShimState {
  version: 1;
  pod: { uid: string; name: string; namespace: string };
  node: string;
  shim: ProcessRef;
  ip: string;
  /** When this sandbox was made; runs that started before belong to one before it. */
  createdAt: string;
  /** Newest last; of each container only the last two runs. */
  containers: ContainerRecord[];
}

/** Something to be mounted in the pod's private mount space before a container starts; once a pod. */
export type Stage =
  | { type: 'bind'; source: string; target: string }
  | { type: 'tmpfs'; target: string; options: string };

export interface StartRequest {
  op: 'start';
  name: string;
  attempt: number;
  id: string;
  stages: Stage[];
  /** Program and arguments that end in bwrap; its own options come over a pipe, since they hold secrets. */
  command: string[];
  sandbox: string[];
  /** Its control group, where this machine lets us make one. */
  cgroup?: ContainerGroup;
  /** The container's own command line. */
  argv: string[];
  /** How to get into the running container: before and after its PID. */
  enter: { before: string[]; after: string[] };
  env: Record<string, string>;
  cwd: string;
  log: string;
  /** Its standard input stays open, for those who attach. */
  stdin?: boolean;
  /** It ends with the first who attached. */
  stdinOnce?: boolean;
  tty?: boolean;
  /** The machine's id of the container's user, when it is another than the shim's. */
  owner?: number;
}

export type ShimRequest =
  | StartRequest
  | { op: 'signal'; name: string; signal: NodeJS.Signals }
  | { op: 'state' }
  | { op: 'watch' }
  /** Kills what runs and ends the shim. */
  | { op: 'end' };

export interface ExecRequest {
  op: 'exec';
  container: string;
  command: string[];
  tty?: boolean;
  stdin?: boolean;
}

/** Joins the streams of what runs already; the connection is as that of an exec. */
export interface AttachRequest {
  op: 'attach';
  container: string;
}

/** Opens a connection to a port inside the pod; after the answer's line the connection carries its bytes. */
export interface ConnectRequest {
  op: 'connect';
  port: number;
}

/** Pushed to those who watch. */
export type ShimEvent = { event: 'started' | 'exited'; record: ContainerRecord };

/** An answer to a request carries its number. */
export interface ShimAnswer {
  re: number;
  state?: ShimState;
  record?: ContainerRecord;
  error?: string;
}

/** Channels of an exec connection, after its request line. */
export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, result: 3, resize: 4, endStdin: 5 } as const;

/** One frame of an exec connection. */
export function frame(channel: number, data: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(channel, 0);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/** Cuts a stream into frames. */
export class FrameReader {
  private buffer: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<{ channel: number; data: Buffer }> {
    this.buffer = this.buffer.length === 0 ? chunk : Buffer.concat([this.buffer, chunk]);
    while (this.buffer.length >= 5) {
      const end = 5 + this.buffer.readUInt32BE(1);
      if (this.buffer.length < end) return;
      const whole = this.buffer;
      this.buffer = whole.subarray(end);
      yield { channel: whole.readUInt8(0), data: whole.subarray(5, end) };
    }
  }
}

/** Cuts a stream into lines. What remains is in `rest`. */
export class LineReader {
  rest: Buffer = Buffer.alloc(0);

  *push(chunk: Buffer): Generator<string> {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    for (let end = this.rest.indexOf(10); end >= 0; end = this.rest.indexOf(10)) {
      const line = this.rest.subarray(0, end).toString();
      this.rest = this.rest.subarray(end + 1);
      yield line;
    }
  }
}
