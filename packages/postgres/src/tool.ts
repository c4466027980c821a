import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { PostgresError } from './errors.ts';

/** What this package logs to; pino fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ToolOptions {
  /** Folder of the binaries; empty means PATH. */
  bin: string | undefined;
  /** What is being done, for the error message: `copying demo-1 into /data`. */
  doing: string;
  timeoutMs?: number;
  signal?: AbortSignal;
  env?: Record<string, string>;
  /** Told of every line on stderr while the tool runs. */
  onLine?: (line: string) => void;
  /** A line that says nothing of why it failed. */
  isNoise?: (line: string) => boolean;
  /** Why it failed stands on stdout: it is a report of what was found. */
  reports?: boolean;
  /** Told of the started process, so that its owner can kill it. */
  onStart?: (child: ChildProcess) => void;
  /** Must not lie in PGDATA, where certain death would find it. */
  cwd?: string;
}

/** pgBackRest reports a request that a store refuses in twenty lines and more, for each file that it tries. */
const KEPT_LINES = 200;

/** Environment for the tools: fixed language and time zone, nothing that libpq would take from the pod. */
export function toolEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^PG[A-Z]/.test(name)) env[name] = value;
  }
  return { ...env, LC_ALL: 'C', LANGUAGE: 'C', TZ: 'UTC', ...extra };
}

/** Path of a binary in the folder, or its bare name to be found on PATH. */
export function toolPath(bin: string | undefined, name: string): string {
  return bin ? join(bin, name) : name;
}

/** Kills a tool with all it started (each runs in a process group of its own). */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended in between.
  }
}

/**
 * Runs one of PostgreSQL's tools to its end and returns its stdout.
 * Throws PostgresError `ToolFailed` (with its last lines), `ToolTimeout`, `Cancelled` or `BinariesMissing`.
 */
export async function runTool(name: string, args: string[], o: ToolOptions): Promise<string> {
  if (o.signal?.aborted) throw new PostgresError('Cancelled', `${o.doing}: cancelled before ${name} started`);
  const child = spawn(toolPath(o.bin, name), args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    cwd: o.cwd ?? '/',
    env: toolEnv(o.env),
  });
  o.onStart?.(child);
  const stdout: string[] = [];
  const lines: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text));
  onLines(child.stderr, (line) => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    o.onLine?.(line);
  });
  let ended: 'timeout' | 'cancelled' | undefined;
  const end = (why: 'timeout' | 'cancelled') => () => {
    ended ??= why;
    killGroup(child, 'SIGKILL');
  };
  const timer = o.timeoutMs === undefined ? undefined : setTimeout(end('timeout'), o.timeoutMs);
  const cancel = end('cancelled');
  o.signal?.addEventListener('abort', cancel, { once: true });
  try {
    const { code, signal } = await childEnd(child, name, o);
    if (ended === 'timeout')
      throw new PostgresError('ToolTimeout', `${o.doing}: ${name} did not end within ${o.timeoutMs} ms`, {
        output: lines,
      });
    if (ended === 'cancelled')
      throw new PostgresError('Cancelled', `${o.doing}: cancelled`, { output: lines });
    if (code !== 0) {
      const printed = stdout.join('').trim().split('\n');
      const said = lines.filter((line) => !o.isNoise?.(line)).slice(-3);
      const report = o.reports ? reportOf(printed) : '';
      const tail = report || said.join('; ') || printed.slice(-3).join('; ');
      const how = signal ? `was killed (${signal})` : `ended with code ${code}`;
      throw new PostgresError('ToolFailed', `${o.doing}: ${name} ${how}${tail ? `: ${tail}` : ''}`, {
        output: lines,
      });
    }
    return stdout.join('');
  } finally {
    clearTimeout(timer);
    o.signal?.removeEventListener('abort', cancel);
  }
}

const REPORTED_LINES = 6;

/** The beginning of a report in one line, and how much more of it there is. */
function reportOf(printed: string[]): string {
  const said = printed.map((line) => line.trim()).filter((line) => line !== '');
  const more = said.length - REPORTED_LINES;
  return `${said.slice(0, REPORTED_LINES).join(' ')}${more > 0 ? ` ... and ${more} more lines` : ''}`;
}

function childEnd(
  child: ChildProcess,
  name: string,
  o: ToolOptions,
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      reject(
        new PostgresError(
          'BinariesMissing',
          `${o.doing}: cannot run ${toolPath(o.bin, name)}: ${cause.message}`,
          {
            hint: 'the image must contain the PostgreSQL server binaries on PATH or under /usr/lib/postgresql/<major>/bin',
            cause,
          },
        ),
      );
    });
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/** Splits a stream into lines; a last line without its end counts too. */
export function onLines(stream: NodeJS.ReadableStream, callback: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    for (const part of parts) callback(part);
  });
  stream.on('end', () => {
    if (rest) callback(rest);
    rest = '';
  });
}
