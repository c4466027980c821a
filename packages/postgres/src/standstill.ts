/** Whether a recovery makes no step: by the WAL file that its process names in its title. */
import { readFileSync } from 'node:fs';
import { processesIn } from './death.ts';

/** Between two looks. */
const LOOK_MS = 500;

/** What a recovery says, again and again (from version 15 on), once it has read all WAL there is. */
const OUT_OF_WAL = /waiting for WAL to become available/;
/** One that has what it needs is ready long before. */
const OUT_OF_WAL_MS = 5000;

/**
 * Returns a function that says for how long (milliseconds) a recovery waits in vain; undefined: it gets on. It does so
 * when it has come to no other WAL file for `ms`, or its last word has been for some seconds that it waits for more.
 * Cheap to call.
 */
export function standstill(pgdata: string, ms: number, lastWord: () => string): () => number | undefined {
  const seen = new Set([replayedFile(pgdata)]);
  let since = performance.now();
  let looked = since;
  let outSince: number | undefined;
  return () => {
    const now = performance.now();
    if (now - looked < LOOK_MS) return undefined;
    looked = now;
    outSince = OUT_OF_WAL.test(lastWord()) ? (outSince ?? now) : undefined;
    if (outSince !== undefined && now - outSince > OUT_OF_WAL_MS) return OUT_OF_WAL_MS;
    // One that finds no more WAL looks for it in the same files again and again, and names none in between.
    const at = replayedFile(pgdata);
    if (at !== undefined && !seen.has(at)) since = now;
    seen.add(at);
    return now - since > ms ? ms : undefined;
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
