import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { LocalError } from '../errors.ts';
import type { StateLayout } from '../state.ts';
import { writeJson } from '../state.ts';

/** Longest state folder under which the paths of all Unix sockets fit (108 bytes, the longest `/pods/UID/shim.sock`). */
const MAX_STATE_LENGTH = 107 - '/pods/00000000-0000-0000-0000-000000000000/shim.sock'.length;

/** A state folder held by this process. */
export interface StateLock {
  release(): void;
}

const ownerFile = (layout: StateLayout): string => join(layout.run, 'supervisor.json');

/** @throws LocalError PathTooLong, NotYours */
export function checkStateFolder(layout: StateLayout): void {
  if (Buffer.byteLength(layout.dir) > MAX_STATE_LENGTH)
    throw new LocalError(
      'PathTooLong',
      `the path of the state folder ${layout.dir} is too long for the Unix sockets in it`,
      `give a folder of at most ${MAX_STATE_LENGTH} bytes with --state or PGHERD_STATE`,
    );
  if (!existsSync(layout.dir)) return;
  const owner = statSync(layout.dir).uid;
  const me = process.geteuid!();
  if (owner !== me)
    throw new LocalError(
      'NotYours',
      `the state folder ${layout.dir} belongs to the user with id ${owner}, and you are user ${me}`,
      'run as its owner, or choose another folder with --state DIR or PGHERD_STATE',
    );
}

/**
 * Takes the state folder for this process; the kernel gives it back when the process dies, however it dies.
 * @throws LocalError AlreadyRunning with the pid of who has it
 */
export function lockState(layout: StateLayout): StateLock {
  const database = new DatabaseSync(layout.lock, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    const pid = lockOwner(layout);
    throw new LocalError(
      'AlreadyRunning',
      `local mode with the state folder ${layout.dir} is in use by process ${pid ?? '(not known yet)'}`,
      'use what runs there, stop it with `pgherd local down`, or choose another folder with --state',
      { cause },
    );
  }
  writeJson(ownerFile(layout), { pid: process.pid });
  return { release: () => database.close() };
}

/** True while some process holds the state folder. */
export function isLocked(layout: StateLayout): boolean {
  if (!existsSync(layout.lock)) return false;
  const database = new DatabaseSync(layout.lock, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
    database.exec('ROLLBACK');
    return false;
  } catch {
    return true;
  } finally {
    database.close();
  }
}

/** The process that took the lock last. */
export function lockOwner(layout: StateLayout): number | undefined {
  try {
    return (JSON.parse(readFileSync(ownerFile(layout), 'utf8')) as { pid: number }).pid;
  } catch {
    return undefined;
  }
}
