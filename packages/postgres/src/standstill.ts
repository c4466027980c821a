/** Whether a recovery makes no step: by the WAL file that its process names in its title. */
import { readFileSync } from 'node:fs';
import { processesIn } from './death.ts';

/** Between two looks. */
const LOOK_MS = 500;

/** Returns a function that says whether recovery has been at the same WAL file, or at none, for so long; cheap to call. */
export function standstill(pgdata: string, ms: number): () => boolean {
  let file = replayedFile(pgdata);
  let since = performance.now();
  let looked = since;
  return () => {
    const now = performance.now();
    if (now - looked < LOOK_MS) return false;
    looked = now;
    const at = replayedFile(pgdata);
    if (at !== file) [file, since] = [at, now];
    return now - since > ms;
  };
}

/** The WAL file that recovery is at; undefined when nothing recovers there. */
export function replayedFile(pgdata: string): string | undefined {
  for (const pid of processesIn(pgdata)) {
    try {
      const title = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const file = /startup.* ([0-9A-F]{24})/.exec(title)?.[1];
      if (file) return file;
    } catch {
      // It has ended.
    }
  }
  return undefined;
}
