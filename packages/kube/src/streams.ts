import type { Duplex, Readable, Writable } from 'node:stream';
import type { Client } from './client.ts';
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

/** The log of a container as it comes. */
export declare function logs(client: Client, pod: ObjectRef, options?: LogOptions): Promise<Readable>;

export interface ExecOptions {
  container?: string;
  command: string[];
  stdin?: Readable;
  stdout?: Writable;
  stderr?: Writable;
  tty?: boolean;
  /** Terminal size now and after each change. */
  onResize?: (send: (size: { columns: number; rows: number }) => void) => () => void;
  signal?: AbortSignal;
}

/** Runs a command in a container; resolves with its exit code. */
export declare function exec(client: Client, pod: ObjectRef, options: ExecOptions): Promise<number>;

/** One connection to a port of a pod. */
export declare function portForward(client: Client, pod: ObjectRef, port: number): Promise<Duplex>;
