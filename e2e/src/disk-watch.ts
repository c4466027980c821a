/** How long the disk alone made everybody wait: what a write outage is judged beside. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const BLOCK = Buffer.alloc(8192, 1);
const PACE_MS = 50;
/** What a synced write may take on a disk that nothing is wrong with. */
const ORDINARY_MS = 50;

/** A time in which one synced write was under way; milliseconds since 1970. */
export interface Stall {
  from: number;
  to: number;
}

/** Syncs a block to a file of its own, again and again, as a commit does. */
export class DiskWatch {
  readonly stalls: Stall[] = [];
  readonly #ended: Promise<void>;
  #ending = false;
  #since: number | undefined;

  /** `folder`: on the file system that is watched. */
  constructor(folder: string) {
    // Where it cannot be written, nothing is known, and nothing excused.
    this.#ended = this.#run(join(folder, 'disk-watch')).catch(() => undefined);
  }

  async #run(path: string): Promise<void> {
    const file = await open(path, 'w');
    try {
      while (!this.#ending) {
        await this.#once(file);
        await sleep(PACE_MS);
      }
    } finally {
      await file.close();
    }
  }

  async #once(file: FileHandle): Promise<void> {
    const from = Date.now();
    this.#since = from;
    await file.write(BLOCK, 0, BLOCK.length, 0);
    await file.datasync();
    this.#since = undefined;
    const to = Date.now();
    if (to - from > ORDINARY_MS) this.stalls.push({ from, to });
  }

  /** For how many of the milliseconds between the two times such a write was under way. */
  stalledMs(from: number, to: number): number {
    const now = this.#since === undefined ? [] : [{ from: this.#since, to: Date.now() }];
    return stalledMs([...this.stalls, ...now], from, to);
  }

  end(): Promise<void> {
    this.#ending = true;
    return this.#ended;
  }
}

/** How much of the time between `from` and `to` lies in the stalls, which do not overlap. */
export function stalledMs(stalls: readonly Stall[], from: number, to: number): number {
  return stalls.reduce(
    (sum, stall) => sum + Math.max(0, Math.min(to, stall.to) - Math.max(from, stall.from)),
    0,
  );
}
