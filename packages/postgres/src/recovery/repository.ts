/** Asks a backup repository what can be recovered from it, and copies a backup out of it. */
import type { ChildProcess } from 'node:child_process';
import { PostgresError } from '../errors.ts';
import { parseBackrestInfo, type StanzaInfo } from '../pgbackrest/info.ts';
import { BACKREST_ERRORS, type BackrestCommand, runBackrest } from '../pgbackrest/run.ts';
import { killGroup } from '../tool.ts';
import { type Catalogue, catalogueOf, historyFiles, newestArchive, stanzaOf } from './catalogue.ts';

/** Whose backups. */
export interface BackupOwner {
  cluster: string;
  systemID?: string;
  stanza?: string;
}

/** How a repository is reached: a configuration of pgBackRest, and its number in there. */
export interface RepositoryAccess {
  config: string;
  repository: number;
}

export type Run = Pick<BackrestCommand, 'signal' | 'onLine' | 'onStart'>;

/** `storeTimeoutS`: seconds that a store may take to answer; default: 15. */
export type AskRun = Run & { storeTimeoutS?: number };

const ASK_MS = 120_000;
/** A store that is gone is tried several times by one question: with this, pgBackRest says so before we lose patience. */
const ASK_TIMEOUT_S = 15;
/**
 * Seconds that a store may take to answer while a backup is copied out of it. pgBackRest tries each file three times,
 * and several times within each: with its own 60 it says nothing of a store that is gone for over ten minutes.
 */
const STORE_TIMEOUT_S = 20;
const LAST_WORDS = /restore command end: aborted/;
/** How long its processes may take to end after that, in milliseconds. */
const END_MS = 5_000;

/**
 * Lists backups, timelines and WAL of a cluster's newest database in a repository.
 * Throws PostgresError `NoBackup` when it has none, `BackrestFailed` with pgBackRest's words.
 */
export async function readCatalogue(
  access: RepositoryAccess,
  owner: BackupOwner,
  run: AskRun = {},
): Promise<Catalogue> {
  const { storeTimeoutS = ASK_TIMEOUT_S, ...rest } = run;
  const doing = `listing the backups of ${owner.stanza ?? owner.cluster}`;
  const told = await runBackrest('info', {
    ...rest,
    config: access.config,
    doing,
    options: { repo: access.repository, output: 'json', 'io-timeout': storeTimeoutS },
    timeoutMs: ASK_MS,
  });
  const stanzas = parseBackrestInfo(told);
  const stanza = stanzaOf(stanzas, owner);
  const catalogue = stanza && (await catalogueIn(access, stanza, run));
  if (!catalogue) {
    // pgBackRest then lists a stanza [invalid] that stands for all it could not read: another try may.
    const unread = stanzas
      .flatMap(({ repositories }) => repositories)
      .find(({ status }) => status.code === 99);
    if (unread) throw new PostgresError('BackrestFailed', `${doing}: ${unread.status.message}`);
    const known = stanzas.map(({ name }) => name).join(', ') || 'nothing';
    throw new PostgresError('NoBackup', `${doing}: the repository has none of them`, {
      hint: `it has ${known}`,
    });
  }
  return catalogue;
}

/** The same, where it is known what `info` says; undefined where nothing was archived. */
export async function catalogueIn(
  access: RepositoryAccess,
  stanza: StanzaInfo,
  { storeTimeoutS = ASK_TIMEOUT_S, ...run }: AskRun = {},
): Promise<Catalogue | undefined> {
  const archive = newestArchive(stanza, access.repository);
  if (!archive) return undefined;
  const folder = `archive/${stanza.name}/${archive.archiveID}`;
  const ask = (command: string, args: string[], options = {}) =>
    runBackrest(command, {
      ...run,
      config: access.config,
      doing: `listing the archive of ${stanza.name}`,
      args,
      options: { repo: access.repository, 'io-timeout': storeTimeoutS, ...options },
      timeoutMs: ASK_MS,
    });
  const listing = await ask('repo-ls', [folder], { output: 'json', recurse: true });
  const histories = new Map<string, string>();
  for (const file of historyFiles(listing))
    histories.set(file.split('/').at(-1)!, await ask('repo-get', [`${folder}/${file}`]));
  return catalogueOf(stanza, access.repository, listing, histories);
}

/** How much of a backup has been copied, out of a line of pgBackRest's log; undefined for any other line. */
function restoreProgress(line: string): number | undefined {
  const match = /restore file .*\([^()]*?([\d.]+)%\)/.exec(line);
  return match ? Number(match[1]) : undefined;
}

/**
 * Copies a backup into a data directory. With `delta`, what an earlier try left there is used as far as it is right.
 * `onProgress`: percent. Throws PostgresError `BackrestFailed`, which names the file that is damaged or missing, or
 * after some minutes what is not reached.
 */
export async function restoreBackup(
  access: RepositoryAccess,
  o: {
    stanza: string;
    backup: string;
    pgdata: string;
    delta: boolean;
    processes: number;
    storeTimeoutS?: number;
  },
  run: Run & { onProgress?: (percent: number) => void } = {},
): Promise<void> {
  const { onProgress, ...rest } = run;
  let child: ChildProcess | undefined;
  let timer: NodeJS.Timeout | undefined;
  const running = runBackrest('restore', {
    ...rest,
    onStart: (started) => {
      child = started;
      rest.onStart?.(started);
    },
    onLine: (line) => {
      const percent = restoreProgress(line);
      if (percent !== undefined) onProgress?.(percent);
      // It has given up, and would wait for its other processes, which go on trying for as long again.
      if (LAST_WORDS.test(line) && child) timer = setTimeout(killGroup, END_MS, child, 'SIGKILL');
      rest.onLine?.(line);
    },
    config: access.config,
    stanza: o.stanza,
    doing: `restoring the backup ${o.backup}`,
    options: {
      repo: access.repository,
      set: o.backup,
      'pg1-path': o.pgdata,
      // What replay is to do is said by us alone: so pgBackRest leaves out postgresql.auto.conf, which we keep
      // read-only, so that it could not write it.
      type: 'preserve',
      delta: o.delta,
      'process-max': o.processes,
      'io-timeout': o.storeTimeoutS ?? STORE_TIMEOUT_S,
      'log-level-stderr': 'detail',
    },
  });
  try {
    await running;
  } catch (error) {
    throw unreached(error, o.backup) ?? error;
  } finally {
    clearTimeout(timer);
  }
}

/** pgBackRest calls a backup invalid also where it did not reach the repository at all, and warns of that before. */
function unreached(error: unknown, backup: string): PostgresError | undefined {
  if (!(error instanceof PostgresError) || error.backrestError !== BACKREST_ERRORS.backupSetInvalid)
    return undefined;
  const lines = error.output;
  const warned = lines.findIndex((line) =>
    /WARN: repo\d+: \[(Host\w+|Service|Protocol|FileRead)Error\]/.test(line),
  );
  if (warned === -1) return undefined;
  const why = /^\s+\w+Error: (.*)/.exec(lines[warned + 1] ?? '')?.[1] ?? lines[warned];
  return new PostgresError(
    'BackrestFailed',
    `restoring the backup ${backup}: the repository is not reached: ${why}`,
    {
      output: lines,
      cause: error,
    },
  );
}

/**
 * The files of a backup, and of those it rests on, that are damaged or missing in the repository, by reading all of
 * them (pgbackrest verify).
 */
export async function damagedFiles(
  access: RepositoryAccess,
  o: { stanza: string; backup: string; references: readonly string[]; processes: number },
  run: Run = {},
): Promise<string[]> {
  const damaged = new Set<string>();
  const sets = [o.backup, ...o.references];
  for (const set of sets)
    await runBackrest('verify', {
      ...run,
      onLine: (line) => {
        const file = /(?:invalid (?:checksum|size|result)|file missing) '?([^']+?)'?$/.exec(line)?.[1];
        if (file && sets.some((each) => file.startsWith(`${each}/`))) damaged.add(file);
        run.onLine?.(line);
      },
      config: access.config,
      stanza: o.stanza,
      doing: `reading the files of the backup ${set}`,
      options: { repo: access.repository, set, 'process-max': o.processes },
    });
  return [...damaged];
}

/** `restore_command` for replaying out of a repository. */
export function restoreCommand(access: RepositoryAccess, stanza: string, pgdata: string): string {
  const options = [
    `--config=${access.config}`,
    `--stanza=${stanza}`,
    `--repo=${access.repository}`,
    `--pg1-path=${pgdata}`,
    '--log-level-console=off',
    '--log-level-stderr=info',
    '--log-level-file=off',
  ];
  return `pgbackrest ${options.join(' ')} archive-get %f "%p"`;
}
