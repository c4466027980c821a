/**
 * WAL files that are deleted under a running primary. PostgreSQL goes on and notices nothing: it writes to files that
 * have no name any more, or makes them anew without what was in them. Nothing could recover from those, and standbys
 * flush, and confirm, what is no WAL. So what they held is brought to the data files at once, and PostgreSQL begins a
 * new segment. Standbys cannot follow over the gap: they are copied anew.
 */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { historyName, type Session, writeDurable } from '@pgherd/postgres';

/** A checkpoint that writes as fast as it can. */
const CHECKPOINT_MS = 600_000;

/** What a primary says of its WAL. */
export interface WalPosition {
  timeline: number;
  /** The segment that is written to now. */
  segment: string;
  /** The segment that a recovery would begin with; undefined until the first checkpoint of a timeline. */
  redo?: string;
}

export class WalLoss {
  readonly #folder: string;
  #segment: { name: string; inode: number } | undefined;
  #history: { name: string; text: string } | undefined;
  #redoMissed: string | undefined;

  constructor(pgdata: string) {
    this.#folder = join(pgdata, 'pg_wal');
  }

  /** The files, by name, that were there or must be, and are not; empty when all is well. */
  async look(at: WalPosition): Promise<string[]> {
    return (
      await Promise.all([
        this.#statusFolder(),
        this.#lostSegment(at),
        this.#lostRedo(at),
        this.#lostHistory(at),
      ])
    ).filter((name) => name !== undefined);
  }

  /** What a look found does not count for another server, or another content. */
  forget(): void {
    this.#segment = undefined;
    this.#history = undefined;
    this.#redoMissed = undefined;
  }

  /** Makes the WAL whole from here on; on the primary, with a session of its own. */
  async mend(session: Session): Promise<void> {
    await mkdir(join(this.#folder, 'archive_status'), { recursive: true, mode: 0o700 });
    // Whoever has a file open that has no name any more turns to one that has.
    await session.query('select pg_switch_wal()');
    await session.query('checkpoint', [], CHECKPOINT_MS);
    if (this.#history) await writeDurable(join(this.#folder, this.#history.name), this.#history.text);
    this.#segment = undefined;
  }

  async #statusFolder(): Promise<string | undefined> {
    return (await this.#file('archive_status')) === 'gone' ? 'archive_status' : undefined;
  }

  /** The same segment in another file. One that is not there may not have been made yet, or be removed by now. */
  async #lostSegment({ segment: name }: WalPosition): Promise<string | undefined> {
    const inode = await this.#file(name);
    if (typeof inode !== 'number') return undefined;
    if (this.#segment?.name !== name) this.#segment = { name, inode };
    return inode === this.#segment.inode ? undefined : name;
  }

  /** A checkpoint may have ended, and removed it, between the answer and our look: the next answer names another then. */
  async #lostRedo({ redo }: WalPosition): Promise<string | undefined> {
    const missing = redo !== undefined && (await this.#file(redo)) === 'gone';
    const before = this.#redoMissed;
    this.#redoMissed = missing ? redo : undefined;
    return missing && before === redo ? redo : undefined;
  }

  async #lostHistory({ timeline }: WalPosition): Promise<string | undefined> {
    const name = historyName(timeline);
    const text = timeline > 1 ? await readFile(join(this.#folder, name), 'utf8').catch(() => undefined) : '';
    if (text) this.#history = { name, text };
    return text === undefined && this.#history?.name === name ? name : undefined;
  }

  /** The inode of a file in pg_wal; anything but its absence that keeps it from being seen says nothing about it. */
  async #file(name: string): Promise<number | 'gone' | 'unknown'> {
    try {
      return (await stat(join(this.#folder, name))).ino;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'gone' : 'unknown';
    }
  }
}
