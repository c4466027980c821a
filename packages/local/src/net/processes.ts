import { readdirSync, readFileSync } from 'node:fs';

/** Set in the environment of every process of a local cluster, so that none of them can be overlooked. */
const MARK = 'PGHERD_PART_OF';

/** A normal user's PATH often lacks the folders where network tools are. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A process, safe against the reuse of its number. */
export interface ProcessRef {
  pid: number;
  /** Start time in clock ticks since boot, from /proc/PID/stat. */
  start: number;
  boot: string;
}

interface Stat {
  ppid: number;
  state: string;
  start: number;
}

let bootId: string | undefined;

/** Names this boot of the machine. */
export function boot(): string {
  bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return bootId;
}

/** What /proc says about a process, or undefined when there is none. */
function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces and parentheses of its own.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0]!, ppid: Number(fields[1]), start: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export function processRef(pid: number): ProcessRef | undefined {
  const stat = statOf(pid);
  return stat && { pid, start: stat.start, boot: boot() };
}

/** True while that very process runs; a zombie does not. */
export function isAlive(ref: ProcessRef | undefined): boolean {
  if (ref?.boot !== boot()) return false;
  const stat = statOf(ref.pid);
  return stat !== undefined && stat.start === ref.start && stat.state !== 'Z' && stat.state !== 'X';
}

/** Sends a signal to that very process; false when it is gone. */
export function signal(ref: ProcessRef | undefined, name: NodeJS.Signals): boolean {
  if (!ref || !isAlive(ref)) return false;
  return signalPid(ref.pid, name);
}

/** Sends a signal; false when there is no such process. */
export function signalPid(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The given processes and all that descend from them. */
export function withDescendants(roots: number[]): number[] {
  const children = new Map<number, number[]>();
  for (const pid of allPids()) {
    const stat = statOf(pid);
    if (!stat) continue;
    const siblings = children.get(stat.ppid);
    if (siblings) siblings.push(pid);
    else children.set(stat.ppid, [pid]);
  }
  const found: number[] = [];
  const queue = [...roots];
  for (let pid = queue.shift(); pid !== undefined; pid = queue.shift()) {
    found.push(pid);
    queue.push(...(children.get(pid) ?? []));
  }
  return found;
}

/** Sends a signal to processes and their descendants, until a pass finds nobody new. */
export function signalTree(roots: number[], name: NodeJS.Signals): number {
  const done = new Set<number>();
  for (let fresh = true; fresh; ) {
    fresh = false;
    for (const pid of withDescendants(roots)) {
      if (done.has(pid)) continue;
      done.add(pid);
      fresh = signalPid(pid, name) || fresh;
    }
  }
  return done.size;
}

/** Processes that bear the mark of a state folder, except this one. What they are to be is up to `role`. */
export function markedProcesses(state: string, role?: string): number[] {
  const mark = Buffer.from(`\0${MARK}=${state}\0`);
  const roleMark = role === undefined ? undefined : Buffer.from(`\0PGHERD_ROLE=${role}\0`);
  return allPids().filter((pid) => {
    if (pid === process.pid) return false;
    const environment = environmentOf(pid);
    if (!environment?.includes(mark)) return false;
    return roleMark === undefined || environment.includes(roleMark);
  });
}

/** In the environment of every process of a container: its pod's uid. */
export const POD_MARK = 'PGHERD_POD';

/**
 * Processes of a pod's containers whose shim is dead. They die with it, except in the instant in which a sandbox
 * is being made: then nobody has told the kernel yet to kill it along.
 */
export function containerProcesses(uid: string): number[] {
  const mark = Buffer.from(`\0${POD_MARK}=${uid}\0`);
  return allPids().filter((pid) => environmentOf(pid)?.includes(mark));
}

function environmentOf(pid: number): Buffer | undefined {
  try {
    // A NUL before, so that the mark is found as a whole variable only.
    return Buffer.concat([Buffer.from('\0'), readFileSync(`/proc/${pid}/environ`)]);
  } catch {
    return undefined;
  }
}

/** The environment of a process of a local cluster: small, and marked. */
export function markedEnv(
  state: string,
  role: string,
  more: Record<string, string> = {},
): Record<string, string> {
  const env: Record<string, string> = {
    PATH: SYSTEM_PATH,
    LANG: 'C.UTF-8',
    HOME: '/',
    [MARK]: state,
    PGHERD_ROLE: role,
    ...more,
  };
  // Compiled code is kept beside the state: a shim must start in tens of milliseconds.
  if (!env.NODE_COMPILE_CACHE) env.NODE_COMPILE_CACHE = `${state}/run/compiled`;
  return env;
}
