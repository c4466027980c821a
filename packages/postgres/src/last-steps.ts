/** The end of a server that stops: whoever knocks is sent away, and what nobody needs any more is not waited for. */
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { commandLine, kill, parentOf, processesIn } from './death.ts';

/** Between two looks at what is left of the server. */
const LOOK_MS = 4;
/** Who has not heeded the order to stop by then may be one that somebody has stopped (SIGSTOP). */
const WAKE_MS = 500;
/** Where pg_control says the state of the cluster, and what it says after a stop in order that was no standby's. */
const STATE_OFFSET = 16;
const SHUT_DOWN = 1;
const ARCHIVER = /^postgres: (\S+: )?archiver( (archiving|last was|failed on) \S+)?$/;

/**
 * Attends to a server that has been told to stop, until the function that this returns is called.
 *
 * A postmaster that stops goes on forking a process for whoever knocks, which negotiates TLS only to say that it stops;
 * and it does not end before these have. They are sent away at once. Once a primary is shut down on disk, and its WAL
 * senders have ended, which they do when the standbys have all of it, nobody is left who could write or acknowledge:
 * the postmaster only waits for newcomers and for the archiver, and gives its memory back. It is killed with these. Not
 * with the archiver, though, which brings the rest of the WAL to the archive, unless another is to do that:
 * `leaveArchiver`.
 *
 * @param onShutDown called once, as soon as a primary is shut down on disk: while its WAL senders end
 */
export function attendStop(
  pgdata: string,
  {
    postmaster,
    leaveArchiver,
    onShutDown,
  }: { postmaster: number; leaveArchiver: boolean; onShutDown: () => void },
): () => void {
  const before = new Set(processesIn(pgdata));
  let wakeAt = performance.now() + WAKE_MS;
  let shutDown = false;
  const timer = setInterval(() => {
    if (!shutDown && isShutDown(pgdata)) {
      shutDown = true;
      onShutDown();
    }
    const left = processesIn(pgdata);
    const idle = (pid: number) =>
      pid === postmaster || isNewcomer(pid, postmaster) || (leaveArchiver && isArchiving(pid, postmaster));
    if (shutDown && left.every(idle)) {
      for (const pid of left) kill(pid, 'SIGKILL');
      return;
    }
    if (performance.now() > wakeAt) {
      for (const pid of left) kill(pid, 'SIGCONT');
      wakeAt = Number.POSITIVE_INFINITY;
    }
    // It ends by itself with a code that is no crash.
    for (const pid of left) if (!before.has(pid) && isNewcomer(pid, postmaster)) kill(pid, 'SIGTERM');
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** By pg_control itself: that what the shutdown's checkpoint covers is on disk. */
function isShutDown(pgdata: string): boolean {
  try {
    const file = openSync(join(pgdata, 'global', 'pg_control'), 'r');
    try {
      const state = Buffer.alloc(4);
      readSync(file, state, 0, 4, STATE_OFFSET);
      return (endianness() === 'LE' ? state.readInt32LE() : state.readInt32BE()) === SHUT_DOWN;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

/** True of the archiver and what it calls. */
function isArchiving(pid: number, postmaster: number): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1 && at !== postmaster; at = parentOf(at))
    if (ARCHIVER.test(commandLine(at) ?? '')) return true;
  return false;
}

/** A child of the postmaster that has just been forked for a connection: it still bears its parent's command line. */
function isNewcomer(pid: number, postmaster: number): boolean {
  return parentOf(pid) === postmaster && commandLine(pid) === commandLine(postmaster);
}
