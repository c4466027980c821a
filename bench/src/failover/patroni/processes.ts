/** Finding and signalling all that belongs to a member: its agent, and every process of its PostgreSQL. */
import { readlinkSync } from 'node:fs';
import { allPids, signalPid, withDescendants } from '@pgherd/local/net/processes';

/** Processes whose working directory is the data directory: all of PostgreSQL, also when its postmaster is gone. */
function inFolder(folder: string): number[] {
  return allPids().filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === folder;
    } catch {
      return false;
    }
  });
}

/** Sends a signal to an agent, what descends from it and its PostgreSQL, until a pass finds nobody new. */
export function signalMember(agent: number | undefined, data: string, name: NodeJS.Signals): void {
  const done = new Set<number>();
  for (let fresh = true; fresh; ) {
    fresh = false;
    for (const pid of [...(agent ? withDescendants([agent]) : []), ...inFolder(data)]) {
      if (done.has(pid)) continue;
      done.add(pid);
      fresh = signalPid(pid, name) || fresh;
    }
  }
}
