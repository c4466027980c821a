/** How the start after a crash brings to disk what the processes before had handed to the system only. */
import { readdir, readFile, statfs } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';

/** Local file systems whose syncfs() ends on disk: ext2 to ext4, XFS, Btrfs (statfs(2)). Others may leave it to a server. */
const KNOWN = new Set([0xef53, 0x58465342, 0x9123683e]);
/** Since this version of Linux, syncfs() reports what could not be written. */
const REPORTS_SINCE = [5, 8] as const;
/** syncfs() writes what others wait to have written, too: with more than this, file by file may be sooner. */
const MOST_WAITING_KB = 256 * 1024;

export interface CrashSyncFacts {
  /** Major version of PostgreSQL. */
  major: number;
  /** As `uname -r` has it. */
  kernel: string;
  /** What waits to be written on this machine. */
  waitingKB: number;
  /** Where they lie is not known here. */
  tablespaces: number;
  /** Type of each file system that holds data, by statfs(2). */
  fileSystems: number[];
}

/**
 * Arguments of a start: PostgreSQL opens and syncs each of its files, a thousand in the smallest database, before it
 * recovers; one call for the whole file system does the same where that is sure to be known as done and little waits
 * to be written. `folders`: the data directory, and what of it lies elsewhere.
 */
export async function crashSyncArgs(major: number, pgdata: string, folders: string[]): Promise<string[]> {
  const facts = {
    major,
    kernel: release(),
    waitingKB: await waitingKB(),
    tablespaces: (await readdir(join(pgdata, 'pg_tblspc')).catch(() => [])).length,
    fileSystems: await Promise.all([pgdata, ...folders].map(fileSystem)),
  };
  return syncsAtOnce(facts) ? ['-c', 'recovery_init_sync_method=syncfs'] : [];
}

/** Whether one call for the file system is as safe as one for each file, and likely to be sooner. Pure. */
export function syncsAtOnce(facts: CrashSyncFacts): boolean {
  if (facts.major < 14 || facts.tablespaces > 0 || facts.waitingKB > MOST_WAITING_KB) return false;
  return reportsErrors(facts.kernel) && facts.fileSystems.every((type) => KNOWN.has(type));
}

function reportsErrors(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  return major > REPORTS_SINCE[0] || (major === REPORTS_SINCE[0] && minor >= REPORTS_SINCE[1]);
}

/** Out of /proc/meminfo. */
async function waitingKB(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const found = [...text.matchAll(/^(?:Dirty|Writeback):\s+(\d+) kB/gm)];
  return found.length === 2 ? found.reduce((sum, [, kB]) => sum + Number(kB), 0) : Number.POSITIVE_INFINITY;
}

async function fileSystem(folder: string): Promise<number> {
  const info = await statfs(folder).catch(() => undefined);
  // Signed on some architectures.
  return info ? Number(info.type) >>> 0 : 0;
}
