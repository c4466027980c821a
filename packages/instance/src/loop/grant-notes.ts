/**
 * Notes of the grants that are given here (ELECTION 4), for managers to come: one that is started anew knows by them
 * what still binds it. They lie where everything is kept over restarts of the container and gone with the pod: who finds
 * none, or those of another run of the machine, does not know what was granted before. Times are those of
 * /proc/uptime, which goes on while the machine sleeps.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GrantNotes, Now } from '@pgherd/ha';
import { uptimeSeconds } from '../guard-link.ts';
import { clocksAt, readClocks } from './clock.ts';

interface Notes {
  /** Names one run of the machine. */
  boot: string;
  /** Since when every grant is noted; seconds. */
  since: number;
  last?: { to: string; epoch: number; at: number };
}

export class GrantLog {
  readonly #file: string;
  readonly #notes: Notes;
  /** What was noted before this manager, and since when. */
  readonly before: GrantNotes;

  /**
   * Begins the notes where there are none yet.
   *
   * @param folder kept over restarts of the manager, and not over those of the machine
   */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#file = join(folder, 'grants.json');
    const uptime = uptimeSeconds();
    const boot = bootId();
    this.#notes = read(this.#file, boot) ?? { boot, since: uptime };
    try {
      this.#write();
    } catch {
      // No room for notes: this manager gives no grants then, and the next one knows of none before itself.
    }
    const { since, last } = this.#notes;
    const when = (seconds: number): Now => clocksAt(readClocks().mono - (uptime - seconds) * 1000);
    this.before = { since: when(since), ...(last ? { last: { ...last, at: when(last.at) } } : {}) };
  }

  /** To be called before a grant is answered. Throws when it cannot be noted: then it must not be given. */
  note(to: string, epoch: number): void {
    this.#notes.last = { to, epoch, at: uptimeSeconds() };
    this.#write();
  }

  /** Whole for every reader. It need not survive the machine. */
  #write(): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#notes), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Undefined without notes of this run of the machine. */
function read(file: string, boot: string): Notes | undefined {
  try {
    const notes = JSON.parse(readFileSync(file, 'utf8')) as Notes;
    return notes.boot === boot ? notes : undefined;
  } catch {
    return undefined;
  }
}
