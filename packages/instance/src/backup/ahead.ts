/**
 * WAL goes ahead to the repositories that take it, while another keeps it waiting. PostgreSQL hands over a file until
 * all repositories have it, and pgBackRest asks them one after the other: one that does not answer would hold up the
 * backups in all others. What went ahead is found there later, and counts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '@pgherd/kube';
import { runBackrest } from '@pgherd/postgres';
import type { ArchiveMarks } from './marks.ts';
import { backrestFiles } from './setup.ts';

/** A file that has waited for so long is held up. */
const HELD_UP_MS = 10_000;
/** A repository that did not take a file is tried again after this time. */
const AGAIN_MS = 15_000;
const PUSH_MS = 120_000;
/** A volume takes one push at a time. */
const LOCKED = /LockAcquireError|\[050\]/;
const LOCKED_MS = 60_000;
const PUSHES = ['archive-push', 'archive-push:async'];
const LOCK_LOOK_MS = 500;

export interface AheadOptions {
  folder: string;
  pgdata: string;
  log: Log;
  marks: Pick<ArchiveMarks, 'heldUp'>;
  /** Only who leads may archive. */
  leads(): boolean;
  /** For tests. */
  heldUpMs?: number;
}

interface Course {
  /** Files that it has. */
  done: Set<string>;
  busy: boolean;
  /** It takes one push at a time, and another one was in the way. */
  locked?: boolean;
  notBefore: number;
  problem?: string;
}

export class Ahead {
  readonly #o: AheadOptions;
  #oldest: { file: string; since: number } | undefined;
  #courses = new Map<string, Course>();

  constructor(options: AheadOptions) {
    this.#o = options;
    options.marks.heldUp(undefined);
  }

  forget(): void {
    this.#oldest = undefined;
    this.#courses = new Map();
    this.#o.marks.heldUp(undefined);
  }

  /** By repository: why it does not take WAL. */
  problems(): [string, string][] {
    return [...this.#courses].flatMap(([name, { problem }]) =>
      problem === undefined ? [] : [[name, problem]],
    );
  }

  /**
   * `waiting`: the files that are not archived, in their order. `repositories`: the numbers of those that have the
   * stanza, by name.
   */
  see(stanza: string, waiting: readonly string[], repositories: ReadonlyMap<string, number>): void {
    const [file] = waiting;
    if (file === undefined) {
      this.forget();
      return;
    }
    if (file !== this.#oldest?.file) this.#oldest = { file, since: performance.now() };
    if (performance.now() - this.#oldest.since < (this.#o.heldUpMs ?? HELD_UP_MS)) {
      this.#o.marks.heldUp(undefined);
      return;
    }
    for (const [name, number] of repositories) {
      const course = this.#courses.get(name) ?? { done: new Set(), busy: false, notBefore: 0 };
      this.#courses.set(name, course);
      if (course.busy || performance.now() < course.notBefore) continue;
      course.done = new Set(waiting.filter((each) => course.done.has(each)));
      const files = waiting.filter((each) => !course.done.has(each));
      if (files.length > 0)
        this.#push(stanza, number, files, course).then(() => {
          if (course.problem)
            this.#o.log.warn({ repository: name, problem: course.problem }, 'WAL is not taken');
          this.#tell();
        });
    }
    this.#tell();
  }

  /** Object stores have no lock: nobody waits for anybody there. */
  #tell(): void {
    const locked = [...this.#courses.values()].filter((course) => course.locked);
    const state = locked.some(({ busy }) => busy) ? 'pushing' : 'pausing';
    this.#o.marks.heldUp(locked.length > 0 ? state : undefined);
  }

  async #push(stanza: string, number: number, files: string[], course: Course): Promise<void> {
    course.busy = true;
    try {
      for (const file of files) {
        if (!this.#o.leads()) return;
        await this.#inTurn(course, () => this.#pushOne(stanza, number, file));
        course.done.add(file);
        course.problem = undefined;
      }
    } catch (error) {
      const { message } = error as Error;
      // That another push goes on says nothing of the repository.
      course.problem = LOCKED.test(message) ? undefined : message;
      course.notBefore = performance.now() + AGAIN_MS;
    } finally {
      course.busy = false;
    }
  }

  async #inTurn(course: Course, push: () => Promise<void>): Promise<void> {
    const end = performance.now() + LOCKED_MS;
    for (;;) {
      try {
        return await push();
      } catch (error) {
        const locked = LOCKED.test((error as Error).message);
        if (!locked || performance.now() > end || !this.#o.leads()) throw error;
        course.locked = true;
        this.#tell();
        this.#interrupt();
      }
      await sleep(LOCK_LOOK_MS);
    }
  }

  /**
   * Ends the push to all repositories at once, which keeps the lock for minutes while it tries the broken one. It is
   * made again later, and has nothing left to do then where the file has come already.
   */
  #interrupt(): void {
    const config = `--config=${backrestFiles(this.#o.folder).all}`;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        if (words.includes(config) && words.some((word) => PUSHES.includes(word)))
          process.kill(Number(pid), 'SIGTERM');
      } catch {
        // It has ended, or is another user's.
      }
    }
  }

  async #pushOne(stanza: string, number: number, file: string): Promise<void> {
    const { folder, pgdata } = this.#o;
    await runBackrest('archive-push', {
      config: backrestFiles(folder).alone(number),
      stanza,
      doing: `archiving ${file}`,
      timeoutMs: PUSH_MS,
      options: { 'archive-async': false },
      args: [join(pgdata, 'pg_wal', file)],
    });
  }
}
