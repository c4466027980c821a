/** Whether what is written to a volume comes back: a disk that hangs still lets a server answer from memory. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = '.write-probe';
/** Between the ends of two writes. */
const EVERY_MS = 2_000;
/** A write that is under way for longer has not come back. */
const LATE_MS = 1_000;

export class WriteProbe {
  readonly #folder: string;
  #begun: number | undefined;
  #ended = Number.NEGATIVE_INFINITY;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** True while a write has not come back. Begins one where it is time; there is never more than one. */
  isStuck(): boolean {
    const now = performance.now();
    if (this.#begun !== undefined) return now - this.#begun > LATE_MS;
    if (now - this.#ended >= EVERY_MS) {
      this.#begun = now;
      // A write that is refused (no space, no folder yet) has come back too.
      void this.#write()
        .catch(() => undefined)
        .finally(() => {
          this.#begun = undefined;
          this.#ended = performance.now();
        });
    }
    return false;
  }

  async #write(): Promise<void> {
    const file = await open(join(this.#folder, FILE), 'w', 0o600);
    try {
      await file.write('.');
      await file.datasync();
    } finally {
      await file.close();
    }
  }
}
