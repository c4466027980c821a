/**
 * Whether a standby here was made a primary by somebody else than us (`pg_promote()` by hand). Its PostgreSQL may end
 * before anybody has seen it run as a primary, and once it is started as a standby again its control file tells nothing
 * any more; yet its history is none of the cluster's. So the volume says what last ran here, outside PGDATA.
 */
import { mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { wasPrimary } from '@pgherd/ha';
import { writeDurable } from '@pgherd/postgres';
import type { Layout } from './layout.ts';

/** Which content of the volume; another database put in its place has the same incarnation. */
export interface Content {
  incarnation: string;
  systemID: string;
}

/** This content last ran as a standby; `byHand`: and was promoted since, not by us. */
interface Mark extends Content {
  byHand?: boolean;
}

const same = (a: Content, b: Content | undefined): boolean =>
  a.incarnation === b?.incarnation && a.systemID === b.systemID;

export class StandbyMark {
  readonly #layout: Layout;
  /** Known to be on the volume; undefined: not read yet, or taken away. */
  #known: Mark | undefined;
  /** From the order to lead until the next start as a standby: what a look saw before it is out of date. */
  #leading = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** PostgreSQL is about to be started as a standby. */
  starts(): void {
    this.#leading = false;
  }

  /** This content runs in recovery now. */
  async seen({ incarnation, systemID }: Content): Promise<void> {
    const content = { incarnation, systemID };
    if (this.#leading || same(content, this.#known)) return;
    await this.#inTurn(async () => {
      if (this.#leading || same(content, await this.#read())) return;
      await this.#write(content);
    });
  }

  /**
   * What runs here is to become a primary. A power cut may bring the mark back for a moment: whoever led last is
   * believed all the same.
   */
  async mayLead(): Promise<void> {
    this.#leading = true;
    await this.#inTurn(() => this.#remove());
  }

  /** The content has been brought to the history of the leader. */
  async forget(): Promise<void> {
    await this.#inTurn(() => this.#remove());
  }

  /** Of a server that is stopped: whether it was promoted by hand. Noted durably when it is found out. */
  async judge(content: Content, controlState: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const mark = await this.#read();
      if (!mark || !same(content, mark)) return false;
      if (mark.byHand || !wasPrimary(controlState)) return mark.byHand === true;
      // Where there is no room for a note, PostgreSQL is not started either.
      const found = { ...content, byHand: true };
      await this.#write(found).catch(() => {
        this.#known = found;
      });
      return true;
    });
  }

  /** Of a server that runs: what was found out before it was started. */
  async byHand(content: Content): Promise<boolean> {
    return this.#inTurn(async () => {
      const mark = await this.#read();
      return same(content, mark) && mark?.byHand === true;
    });
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#last.then(run);
    this.#last = result.catch(() => undefined);
    return result;
  }

  get #file(): string {
    return join(this.#layout.notes, 'standby.json');
  }

  async #read(): Promise<Mark | undefined> {
    if (this.#known) return this.#known;
    const text = await readFile(this.#file, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      this.#known = JSON.parse(text) as Mark;
    } catch {
      return undefined;
    }
    return this.#known;
  }

  async #write(mark: Mark): Promise<void> {
    await mkdir(this.#layout.notes, { recursive: true, mode: 0o700 });
    await writeDurable(this.#file, `${JSON.stringify(mark)}\n`);
    this.#known = mark;
  }

  /** Gone for every reader when it returns; the disk is told beside what follows, which is to be quick. */
  async #remove(): Promise<void> {
    this.#known = undefined;
    try {
      await unlink(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    void this.#inTurn(async () => {
      const folder = await open(this.#layout.notes, 'r');
      await folder.sync().finally(() => folder.close());
    }).catch(() => undefined);
  }
}
