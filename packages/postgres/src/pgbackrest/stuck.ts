/**
 * Ends processes of pgBackRest that talk to somebody who is gone without a word. What they have sent is sent again and
 * again, for a quarter of an hour with Linux's own patience; until then they keep their locks, and no backup can begin.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';

export interface StuckOptions {
  /** Port of pgBackRest's servers. */
  port: number;
  /** Processes that stay, whatever they hold: the server, which hands its connections on. */
  spare: readonly number[];
  /** How often something was sent in vain; default: 8, which takes 50 s. */
  tries?: number;
}

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const ESTABLISHED = '01';
const TRIES = 8;

/** Ends them, and returns their numbers. */
export async function endStuck({ port, spare, tries = TRIES }: StuckOptions): Promise<number[]> {
  const tables = await Promise.all(TABLES.map((path) => readFile(path, 'utf8').catch(() => '')));
  const inodes = new Set(tables.flatMap((table) => stuckInodes(table, port, tries)));
  if (inodes.size === 0) return [];
  const ended: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || spare.includes(pid) || !(await isBackrest(pid))) continue;
    if (!(await holds(pid, inodes))) continue;
    try {
      process.kill(pid, 'SIGTERM');
      ended.push(pid);
    } catch {
      // It has ended by itself.
    }
  }
  return ended;
}

/** The sockets in a table of the kernel that send in vain to or from this port. Pure. */
export function stuckInodes(table: string, port: number, tries: number): string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').flatMap((line) => {
    const [, local = '', remote = '', state, , , again = '', , , inode] = line.trim().split(/\s+/);
    const ours = local.endsWith(end) || remote.endsWith(end);
    return ours && state === ESTABLISHED && Number.parseInt(again, 16) >= tries && inode ? [inode] : [];
  });
}

async function isBackrest(pid: number): Promise<boolean> {
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() === 'pgbackrest';
}

async function holds(pid: number, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const links = await readdir(folder).catch(() => []);
  const targets = await Promise.all(links.map((fd) => readlink(`${folder}/${fd}`).catch(() => '')));
  return targets.some((target) => inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? ''));
}
