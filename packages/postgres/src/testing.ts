/** For tests that start PostgreSQL, here and in other packages. */
import { chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processesIn } from './death.ts';
import type { Logger } from './tool.ts';

const NOBODY = 65534;

/**
 * A folder of its own for a test file; PostgreSQL refuses to run as root, so a root process becomes nobody,
 * for good (node --test gives each file a process of its own). Removed, with all that runs in it, at exit.
 */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pgherd-test-'));
  if (process.getuid?.() === 0) {
    chownSync(folder, NOBODY, NOBODY);
    process.setgroups?.([]);
    process.setgid?.(NOBODY);
    process.setuid?.(NOBODY);
  }
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Kills whatever works in these data directories; for after hooks. */
export function killAllIn(...directories: string[]): void {
  for (const directory of directories) {
    for (const pid of processesIn(directory)) killIfThere(pid);
  }
}

/** SIGKILL to a process that may end by itself in the same instant. */
export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Numbers of the processes, other than this one, whose command has all these words. */
export function processesWith(...words: string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      const command = readIfThere(`/proc/${pid}/cmdline`);
      return words.every((word) => command.includes(word));
    })
    .map(Number);
}

/** The number of the server of a data directory, by its own file; 0 where there is none. */
export function postmasterOf(pgdata: string): number {
  return Number(readIfThere(join(pgdata, 'postmaster.pid')).split('\n')[0]);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** A TCP port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Repeats until true; fails after the deadline, naming what it waited for. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Logs nothing, unless PGHERD_TEST_LOG is set. */
export const quiet: Logger = (() => {
  const write = process.env.PGHERD_TEST_LOG
    ? (fields: object, message: string) => console.error(message, JSON.stringify(fields))
    : () => undefined;
  return { debug: write, info: write, warn: write, error: write };
})();
