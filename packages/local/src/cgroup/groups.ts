/** Control groups of containers: where this machine lets us make some, and making and removing them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Limits, type Setting, settingsV1, settingsV2 } from './limits.ts';

/** Folders in which groups can be made; version 1 has one for each controller. */
export interface CgroupRoots {
  version: 1 | 2;
  memory: string;
  cpu: string;
}

/** The group of one container, as the shim needs it. */
export interface ContainerGroup {
  /** A process enters by writing its number into each of these. */
  procs: string[];
  /** Counts the kills for want of memory. */
  events: string;
}

export interface Mount {
  path: string;
  type: 'cgroup' | 'cgroup2';
  options: string[];
}

/** The mounted hierarchies, out of /proc/self/mounts. */
export function parseMounts(text: string): Mount[] {
  return text
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, path, type, options]) => ({
      path: path!,
      type: type as Mount['type'],
      options: options!.split(','),
    }));
}

/** Our own group in each hierarchy, out of /proc/self/cgroup; the key of version 2 is empty. */
export function parseMembership(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.trim().split('\n')) {
    const [, controllers = '', ...path] = line.split(':');
    for (const name of controllers.split(',')) found.set(name, path.join(':'));
  }
  return found;
}

/**
 * Finds where groups can be made, by making one and sending a process through it. `name` is the folder under which
 * all of this local mode lie. Answers why not, where it cannot be.
 */
export function findRoots(name: string): CgroupRoots | { why: string } {
  const mounts = parseMounts(readFileSync('/proc/self/mounts', 'utf8'));
  const own = parseMembership(readFileSync('/proc/self/cgroup', 'utf8'));
  const reasons: string[] = [];
  for (const roots of [...candidatesV1(mounts, own, name), ...candidatesV2(mounts, own, name)]) {
    const why = attempt(roots);
    if (why === undefined) return roots;
    reasons.push(why);
  }
  return { why: reasons[0] ?? 'no control groups for memory and CPU are mounted' };
}

function candidatesV1(mounts: Mount[], own: Map<string, string>, name: string): CgroupRoots[] {
  const at = (controller: string): string | undefined => {
    const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(controller));
    if (!mount || !own.has(controller)) return undefined;
    const mine = join(mount.path, own.get(controller)!);
    // In a container, what is mounted is our own group already.
    return join(existsSync(mine) ? mine : mount.path, name);
  };
  const [memory, cpu] = [at('memory'), at('cpu')];
  return memory && cpu ? [{ version: 1, memory, cpu }] : [];
}

/** Our own group first, then those above it: one that holds processes cannot hand out its controllers. */
function candidatesV2(mounts: Mount[], own: Map<string, string>, name: string): CgroupRoots[] {
  const mount = mounts.find(({ type }) => type === 'cgroup2');
  if (!mount || !readIf(join(mount.path, 'cgroup.controllers')).split(/\s+/).includes('memory')) return [];
  const found: CgroupRoots[] = [];
  for (let path = own.get('') ?? '/'; ; path = dirname(path)) {
    const folder = join(mount.path, path, name);
    if (existsSync(dirname(folder))) found.push({ version: 2, memory: folder, cpu: folder });
    if (path === '/' || path === '.') return found;
  }
}

/** Undefined where a process could be put into a group there; else why not. */
function attempt(roots: CgroupRoots): string | undefined {
  const group = join(roots.memory, 'attempt');
  try {
    if (roots.version === 2) handOut(dirname(roots.memory));
    const { procs } = makeGroup(roots, basename(group), { memory: 2 ** 28, cpu: 1000, cpuRequest: 100 });
    execFileSync('sh', ['-ec', 'for file; do echo $$ >"$file"; done', 'sh', ...procs], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString().trim();
    return said ? `${roots.memory}: ${said}` : (error as Error).message;
  } finally {
    removeGroup(roots, basename(group));
  }
}

/** Lets the groups below have memory and cpu of their own. */
function handOut(folder: string): void {
  const file = join(folder, 'cgroup.subtree_control');
  const has = readIf(file).trim().split(/\s+/);
  if (['memory', 'cpu'].some((name) => !has.includes(name))) writeFileSync(file, '+memory +cpu');
}

const folders = (roots: CgroupRoots): string[] => [...new Set([roots.memory, roots.cpu])];

/** Makes a container's group, or finds it, and sets its limits. Throws what the kernel says. */
export function makeGroup(roots: CgroupRoots, name: string, limits: Limits): ContainerGroup {
  for (const folder of folders(roots)) mkdirSync(join(folder, name), { recursive: true });
  if (roots.version === 2) {
    handOut(roots.memory);
    write(join(roots.memory, name), settingsV2(limits));
  } else {
    write(join(roots.memory, name), settingsV1('memory', limits));
    write(join(roots.cpu, name), settingsV1('cpu', limits));
  }
  return {
    procs: folders(roots).map((folder) => join(folder, name, 'cgroup.procs')),
    events: join(roots.memory, name, roots.version === 2 ? 'memory.events' : 'memory.oom_control'),
  };
}

/** A machine without swap accounting lacks the files for it. */
function write(folder: string, settings: Setting[]): void {
  for (const [file, value] of settings) {
    const path = join(folder, file);
    if (existsSync(path)) writeFileSync(path, value);
  }
}

/** Removes a group without processes; anything else is left alone. */
function removeGroup(roots: CgroupRoots, name: string): void {
  for (const folder of folders(roots)) remove(join(folder, name));
}

/** Removes all groups of a pod. */
export function removeGroupsOf(roots: CgroupRoots, uid: string): void {
  for (const folder of folders(roots)) {
    for (const name of existsSync(folder) ? readdirSync(folder) : [])
      if (name.startsWith(`${uid}_`)) remove(join(folder, name));
  }
}

/** Removes everything that local mode made and nobody is in. */
export function removeRoots(roots: CgroupRoots): void {
  for (const folder of folders(roots)) {
    const entries = existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [];
    for (const entry of entries) if (entry.isDirectory()) remove(join(folder, entry.name));
    remove(folder);
  }
}

/** The name of a container's group. */
export function groupName(uid: string, container: string): string {
  return `${uid}_${container}`;
}

function remove(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is not there, or somebody is in it.
  }
}

function readIf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
