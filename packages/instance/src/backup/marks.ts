/** Small files by which the manager tells archive.sh and fetch.sh what to do. In memory: nothing is synced. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuardLink } from '../guard-link.ts';

/** Replaces a file as a whole, so that a reader never sees a part. */
function put(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

/**
 * A guard link that also leaves its deadline in a file: WAL is archived only until then. A file that cannot be written
 * costs no beat.
 */
export function withLeadingMark(guard: GuardLink, run: string): GuardLink {
  const path = join(run, 'leading');
  return {
    beat(deadline) {
      const told = guard.beat(deadline);
      try {
        if (deadline === null) rmSync(path, { force: true });
        else put(path, `${deadline.toFixed(2)}\n`);
      } catch {
        // What is there ends by itself.
      }
      return told;
    },
    close: () => guard.close(),
  };
}

/** Of the background process's log, so much is read from its end. */
const LONGEST = 4_000;

export class ArchiveMarks {
  readonly folder: string;

  /** `run`: the folder that is kept over restarts of the container. */
  constructor(run: string) {
    this.folder = join(run, 'pgbackrest');
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
  }

  /** PostgreSQL is about to stop: what is being archived must not hold that up. */
  stopping(): void {
    put(join(this.folder, 'stopping'), '');
    const pid = Number(this.#read('archiving'));
    if (!Number.isInteger(pid) || pid <= 1) return;
    try {
      // The number may be another's by now.
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/pgbackrest-archive'))
        process.kill(pid, 'SIGTERM');
    } catch {
      // It has ended.
    }
  }

  starting(): void {
    rmSync(join(this.folder, 'stopping'), { force: true });
  }

  /** On a replica: the leader has archived this WAL file and all before it. */
  archived(file: string): void {
    if (this.#read('archived') !== file) put(join(this.folder, 'archived'), `${file}\n`);
  }

  /** Whether a replica may ask the archive for WAL. */
  fetch(allowed: boolean): void {
    if (allowed) put(join(this.folder, 'fetch'), '');
    else rmSync(join(this.folder, 'fetch'), { force: true });
  }

  /** The stanza to be archived to; undefined: none. */
  stanza(name: string | undefined): void {
    if (name === undefined) rmSync(join(this.folder, 'stanza'), { force: true });
    else if (this.#read('stanza') !== name) put(join(this.folder, 'stanza'), `${name}\n`);
  }

  /** Why not all repositories are set up: until they are, WAL has to wait, or it would be missing in one for good. */
  incomplete(why: string | undefined): void {
    if (why === undefined) rmSync(join(this.folder, 'incomplete'), { force: true });
    else if (this.#read('incomplete') !== why) put(join(this.folder, 'incomplete'), `${why}\n`);
  }

  /**
   * A repository keeps WAL waiting, and it goes ahead to the others: `pushing` while it does, for a repository takes
   * one push at a time; undefined: none does.
   */
  heldUp(state: 'pushing' | 'pausing' | undefined): void {
    if (state === undefined) rmSync(join(this.folder, 'held-up'), { force: true });
    else if (this.#read('held-up') !== state) put(join(this.folder, 'held-up'), `${state}\n`);
  }

  /** What pgBackRest said when it was last handed a WAL file; of the stanza's background process, if that knows more. */
  said(stanza: string): string[] {
    const said = (this.#read('push') ?? '').split('\n');
    // It only knows that the background process has not done it in time.
    if (!said.some((line) => line.includes('[082]'))) return said;
    const more = (this.#read(`log/${stanza}-archive-push-async.log`) ?? '').slice(-LONGEST).split('\n');
    return more.some((line) => line.includes('ERROR: [')) ? more : said;
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(join(this.folder, name), 'utf8').trim();
    } catch {
      return undefined;
    }
  }
}
