import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresError } from './errors.ts';

/**
 * Numbers of the living processes whose working directory is this one (zombies have none), or one of those that
 * `also` identifies: a directory that was moved away takes its processes along.
 */
export function processesIn(directory: string, also: ReadonlySet<string> = new Set()): number[] {
  const here = folderIdentity(directory);
  const wanted = here === undefined ? also : new Set([...also, here]);
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    if (worksIn(name, directory, wanted)) found.push(Number(name));
  }
  return found;
}

function worksIn(pid: string, directory: string, wanted: ReadonlySet<string>): boolean {
  try {
    const link = readlinkSync(`/proc/${pid}/cwd`);
    // A directory that was removed under the server still names its processes.
    if (link !== directory && link !== `${directory} (deleted)`) {
      const identity = folderIdentity(`/proc/${pid}/cwd`);
      if (identity === undefined || !wanted.has(identity)) return false;
    }
    return !isZombie(pid);
  } catch {
    return false; // Ended, or not ours to look at: then it cannot be our server either.
  }
}

/** What tells a folder from all others, whatever it is called; undefined when there is none. */
export function folderIdentity(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    return `${stat.dev}:${stat.ino}`;
  } catch {
    return undefined;
  }
}

function isZombie(pid: string): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const state = stat.charAt(stat.lastIndexOf(')') + 2);
  return state === 'Z' || state === 'X';
}

/** Number of the process that a process was forked by; undefined when it has ended. */
export function parentOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** The command line of a process, which PostgreSQL's processes use as a title; undefined when it has ended. */
export function commandLine(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/[\0 ]+$/, '');
  } catch {
    return undefined;
  }
}

/** Sends a signal to a process that may have ended by itself. */
export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone meanwhile.
  }
}

/**
 * Kills every process that works in a data directory (`also`: see processesIn) and confirms that none is left.
 *
 * The postmaster's exit is not death: its backends go on acknowledging commits after it was killed, and each
 * is a session of its own, so that no process group reaches them.
 * Throws PostgresError `Undead` when something survives the deadline (a hung disk): then only the end of the
 * container helps.
 */
export async function certainDeath(
  pgdata: string,
  deadlineMs: number,
  also?: ReadonlySet<string>,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let clean = 0;
  for (;;) {
    const alive = processesIn(pgdata, also);
    for (const pid of alive) kill(pid, 'SIGKILL');
    // Two empty looks in a row: a process forked between two names of one look would be missed by it.
    clean = alive.length === 0 ? clean + 1 : 0;
    if (clean === 2) return;
    if (alive.length > 0 && performance.now() > end) {
      throw new PostgresError(
        'Undead',
        `killing PostgreSQL in ${pgdata}: ${alive.length} of its processes survive SIGKILL (${alive.slice(0, 5).join(', ')})`,
        {
          hint: 'the disk below the data directory may hang; the container must end before anything else may lead',
        },
      );
    }
    if (alive.length > 0) await sleep(3);
  }
}
