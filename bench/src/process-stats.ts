/** Memory and CPU of processes on this machine, from /proc. A process that is gone counts as nothing. */
import { readFileSync } from 'node:fs';

/** Linux reports CPU time in hundredths of a second on every architecture we run on. */
const TICKS_PER_SECOND = 100;

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`));
  return Number(match?.[1] ?? 0) * 1024;
}

/** CPU time used so far, user and system, in seconds. */
export function cpuSeconds(pid: number): number {
  const text = read(`/proc/${pid}/stat`);
  // The command's name, in brackets, may hold blanks; what follows does not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
