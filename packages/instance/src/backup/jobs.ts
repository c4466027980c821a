/** Runs backups, one at a time, and remembers how they ended. */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANNOTATION_REQUEST, type BackupJob, type BackupRequest } from '@pgherd/api';
import type { Logger } from '@pgherd/postgres';
import {
  BACKREST_ERRORS,
  type BackrestServer,
  backrestInfo,
  PostgresError,
  runBackrest,
  type StanzaInfo,
  serverOptions,
} from '@pgherd/postgres';
import { backrestFiles } from './setup.ts';

const PROGRESS_MS = 1_000;
const KEPT = 20;
const LONGEST_LINE = 200;
/** pgBackRest waits so long for the WAL that a backup needs, in seconds: a backlog may come before it. */
const ARCHIVE_TIMEOUT = 300;
/** Of small questions: a store that does not answer is tried three times, and is to be named within a minute. */
const SHORT_IO = { 'io-timeout': 10 };

export interface BackupJobsOptions {
  /** Where the configurations lie: see backrestFiles. */
  folder: string;
  log: Logger;
  /** How an instance is reached from here. */
  server(instance: string): BackrestServer;
}

export class BackupJobs {
  readonly #folder: string;
  readonly #log: Logger;
  readonly #server: BackupJobsOptions['server'];
  readonly #jobs = new Map<string, BackupJob>();
  readonly #cancels = new Map<string, AbortController>();
  readonly #ends = new Map<string, Promise<void>>();

  constructor(o: BackupJobsOptions) {
    this.#folder = o.folder;
    this.#log = o.log;
    this.#server = o.server;
  }

  get(id: string): BackupJob | undefined {
    return this.#jobs.get(id);
  }

  /** The one that runs, if any. */
  running(): BackupJob | undefined {
    return [...this.#jobs.values()].find(({ phase }) => phase === 'running');
  }

  /** Begins a backup; the same request again changes nothing. Undefined while another one runs. */
  start(request: BackupRequest): BackupJob | undefined {
    const known = this.#jobs.get(request.id);
    if (known) return known;
    if (this.running()) return undefined;
    const job: BackupJob = { id: request.id, phase: 'running', startedAt: Date.now() };
    this.#jobs.set(request.id, job);
    for (const id of [...this.#jobs.keys()].slice(0, -KEPT)) this.#jobs.delete(id);
    this.#ends.set(
      request.id,
      this.#run(request, job).finally(() => this.#ends.delete(request.id)),
    );
    return job;
  }

  /** Resolves once that one does not run (any more), at the latest after so many milliseconds. */
  async ended(id: string, withinMs: number): Promise<void> {
    const late = new AbortController();
    const { signal } = late;
    try {
      await Promise.race([this.#ends.get(id), sleep(withinMs, undefined, { signal }).catch(() => {})]);
    } finally {
      late.abort();
    }
  }

  /** Ends a running backup: it fails. */
  cancel(id: string): void {
    this.#cancels.get(id)?.abort();
  }

  async #run(request: BackupRequest, job: BackupJob): Promise<void> {
    const { id, stanza, repository, type, primary, standby } = request;
    const instances = standby ? [primary, standby] : [primary];
    const cancel = new AbortController();
    this.#cancels.set(id, cancel);
    const looking = this.#look(request, job);
    try {
      await runBackrest('backup', {
        config: backrestFiles(this.#folder).alone(repository),
        stanza,
        doing: `backing up ${stanza}`,
        signal: cancel.signal,
        options: {
          repo: repository,
          type,
          'backup-standby': standby !== undefined,
          'archive-timeout': ARCHIVE_TIMEOUT,
          annotation: `${ANNOTATION_REQUEST}=${id}`,
          ...Object.assign(
            {},
            ...instances.map((instance, index) => serverOptions(index + 1, this.#server(instance))),
          ),
        },
        onLine: (line) => {
          // The first line is the whole command, and a hint alone says nothing.
          if (!/ command begin |^\s+HINT: /.test(line))
            job.line = line.replace(/^.*?\b(INFO|WARN|ERROR): /, '').slice(0, LONGEST_LINE);
          noteDamage(job, line);
          this.#log.info({ backup: id }, line);
        },
      });
      const info = await this.info(stanza, repository);
      job.set = info?.backups.find(({ annotations }) => annotations[ANNOTATION_REQUEST] === id);
      job.phase = job.set ? 'done' : 'failed';
      if (!job.set) job.error = 'pgBackRest says that it is done, but the repository does not have it';
    } catch (error) {
      job.phase = 'failed';
      job.error = reasonOf(error);
    } finally {
      clearInterval(looking);
      job.finishedAt = Date.now();
      this.#cancels.delete(id);
    }
  }

  #look({ stanza, repository }: BackupRequest, job: BackupJob): NodeJS.Timeout {
    let busy = false;
    return setInterval(() => {
      if (busy) return;
      busy = true;
      this.info(stanza, repository)
        .then(
          (info) => {
            if (info?.progress && job.phase === 'running') job.progress = info.progress;
          },
          () => undefined,
        )
        .finally(() => {
          busy = false;
        });
    }, PROGRESS_MS);
  }

  /** What the repositories hold of a stanza; with `repository`, that one alone. Errors: see runBackrest. */
  info(stanza: string, repository?: number): Promise<StanzaInfo | undefined> {
    return backrestInfo({
      config: backrestFiles(this.#folder).all,
      stanza,
      timeoutMs: 60_000,
      options: { ...SHORT_IO, ...(repository === undefined ? {} : { repo: repository }) },
    });
  }

  /** Makes the stanza in a repository; one that is there and fits stays. */
  async createStanza(stanza: string, primary: string, repository: number): Promise<void> {
    await runBackrest('stanza-create', {
      config: backrestFiles(this.#folder).alone(repository),
      stanza,
      doing: `making the stanza ${stanza}`,
      timeoutMs: 120_000,
      options: {
        ...serverOptions(1, this.#server(primary)),
        ...SHORT_IO,
        // Its lock would keep WAL from being archived, and it would fail while that, or a backup, goes on.
        'lock-path': join(this.#folder, 'lock', `stanza-${repository}`),
      },
    });
  }

  /** Removes what its rules no longer keep; with `set`, that backup and all that rest on it. */
  async expire(stanza: string, repository: number, set?: string): Promise<void> {
    await runBackrest('expire', {
      config: backrestFiles(this.#folder).alone(repository),
      stanza,
      doing: set ? `removing backup ${set} of ${stanza}` : `removing old backups of ${stanza}`,
      timeoutMs: 600_000,
      options: { repo: repository, set },
    });
  }
}

const MOST_DAMAGE = 5;

/** Pages with a wrong checksum are backed up all the same: pgBackRest only warns. */
function noteDamage(job: BackupJob, line: string): void {
  const damage = /WARN: (invalid page checksums? found in file .*)$/.exec(line)?.[1];
  if (damage && (job.damage?.length ?? 0) < MOST_DAMAGE) job.damage = [...(job.damage ?? []), damage];
}

function reasonOf(error: unknown): string {
  if (!(error instanceof PostgresError)) return error instanceof Error ? error.message : String(error);
  if (error.code === 'Cancelled') return 'it was cancelled';
  // pgBackRest suspects the archive_command, which is ours.
  if (error.backrestError === BACKREST_ERRORS.archiveTimeout)
    return `${error.message.replace(/ \(HINT: .*$/s, '')} (archiving fails or is far behind: see the condition ContinuousArchiving of the Cluster)`;
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}
