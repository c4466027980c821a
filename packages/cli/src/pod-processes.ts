/** The real processes of a pod on this machine: what a fault kills. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * All processes of the pod with this UID: those in the process spaces of any process that carries the UID in its
 * environment (our managers do, and PostgreSQL's workers, which do not, live in the same space).
 */
export function podProcesses(podUID: string): number[] {
  const wanted = `POD_UID=${podUID}`;
  const own = processSpace(process.pid);
  const bySpace = new Map<string, number[]>();
  const spaces = new Set<string>();
  for (const pid of allProcesses()) {
    const space = processSpace(pid);
    // A process without a space of its own is no container's, whatever its environment says.
    if (space === undefined || space === own) continue;
    bySpace.set(space, [...(bySpace.get(space) ?? []), pid]);
    if (environment(pid).includes(wanted)) spaces.add(space);
  }
  return [...spaces].flatMap((space) => bySpace.get(space) ?? []);
}

/** Sends SIGKILL to all processes of a pod; returns how many there were. */
export function killPod(podUID: string): number {
  const pids = podProcesses(podUID);
  let killed = 0;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
      killed += 1;
    } catch (error) {
      // The first kill took the others of its space along.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      killed += 1;
    }
  }
  return killed;
}

/** The processes of a pod whose command line matches. */
export function findInPod(podUID: string, pattern: RegExp): number[] {
  return podProcesses(podUID).filter((pid) => pattern.test(commandLine(pid)));
}

/** The command line of a process, blanks between the words; empty for one that is gone. */
export function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function processSpace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

function environment(pid: number): string[] {
  return read(`/proc/${pid}/environ`).split('\0');
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
