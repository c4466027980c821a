/**
 * WAL goes ahead to the repositories that take it, while another keeps it waiting. PostgreSQL hands over a file until
 * all repositories have it, and pgBackRest asks them one after the other: one that does not answer would hold up the
 * backups in all others. What went ahead is found there later, and counts.
 */
import { join } from 'node:path';
import type { Log } from '@pgherd/kube';
import { runBackrest } from '@pgherd/postgres';
import { backrestFiles } from './setup.ts';

/** A file that has waited for so long is held up. */
const HELD_UP_MS = 10_000;
/** A repository that did not take a file is tried again after this time. */
const AGAIN_MS = 15_000;
const PUSH_MS = 120_000;

export interface AheadOptions {
  folder: string;
  pgdata: string;
  log: Log;
  /** Only who leads may archive. */
  leads(): boolean;
  /** For tests. */
  heldUpMs?: number;
}

interface Course {
  /** Files that it has. */
  done: Set<string>;
  busy: boolean;
  notBefore: number;
  problem?: string;
}

export class Ahead {
  readonly #o: AheadOptions;
  #oldest: { file: string; since: number } | undefined;
  #courses = new Map<string, Course>();

  constructor(options: AheadOptions) {
    this.#o = options;
  }

  forget(): void {
    this.#oldest = undefined;
    this.#courses = new Map();
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
    if (performance.now() - this.#oldest.since < (this.#o.heldUpMs ?? HELD_UP_MS)) return;
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
        });
    }
  }

  async #push(stanza: string, number: number, files: string[], course: Course): Promise<void> {
    course.busy = true;
    try {
      for (const file of files) {
        if (!this.#o.leads()) return;
        await this.#pushOne(stanza, number, file);
        course.done.add(file);
        course.problem = undefined;
      }
    } catch (error) {
      course.problem = (error as Error).message;
      course.notBefore = performance.now() + AGAIN_MS;
    } finally {
      course.busy = false;
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
