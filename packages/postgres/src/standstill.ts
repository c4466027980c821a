/** Whether a recovery makes no step: by the WAL file that its process names in its title. */
import { readFileSync } from 'node:fs';
import { processesIn } from './death.ts';

/** Between two looks. */
const LOOK_MS = 500;

/** Returns a function that says whether recovery has come to no other WAL file for so long; cheap to call. */
export function standstill(pgdata: string, ms: number): () => boolean {
  const seen = new Set([replayedFile(pgdata)]);
  let since = performance.now();
  let looked = since;
  return () => {
    const now = performance.now();
    if (now - looked < LOOK_MS) return false;
    looked = now;
    // One that finds no more WAL looks for it in the same files again and again, and names none in between.
    const at = replayedFile(pgdata);
    if (at !== undefined && !seen.has(at)) since = now;
    seen.add(at);
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
