/** What `pgbackrest info --output=json` says, in a form that code can use. */
import { PostgresError } from '../errors.ts';
import type { BackupKind } from './options.ts';
import { type BackrestCommand, runBackrest } from './run.ts';
import { storeWords } from './store-words.ts';

/** A backup in a repository. Times in milliseconds since 1970, sizes in bytes. */
export interface BackupSet {
  label: string;
  type: BackupKind;
  /** Number of the repository. */
  repository: number;
  startedAt: number;
  stoppedAt: number;
  /** First and last WAL file it needs; absent for a copy of a stopped server. */
  wal?: { start: string; stop: string };
  lsn?: { start: string; stop: string };
  /** Labels of the backups that it rests on; empty for a full one. */
  references: string[];
  /** The backup that it was made on top of. */
  prior?: string;
  sizes: {
    /** The database. */
    database: number;
    /** What was copied. */
    copied: number;
    /** In the repository, with all it rests on. */
    repository?: number;
    /** What it added to the repository. */
    added?: number;
  };
  annotations: Record<string, string>;
  /** Pages with wrong checksums were found. */
  damaged: boolean;
  /** Number of the database's history that it belongs to. */
  database: number;
}

/** The WAL archive of one database in one repository. */
export interface ArchiveRange {
  repository: number;
  /** Version and number of the history, for example 15-1. */
  id: string;
  database: number;
  min?: string;
  max?: string;
}

export interface StanzaInfo {
  name: string;
  status: { code: number; message: string };
  repositories: { number: number; encrypted: boolean; status: { code: number; message: string } }[];
  databases: { id: number; repository: number; systemID: string; version: string }[];
  archives: ArchiveRange[];
  /** Oldest first. */
  backups: BackupSet[];
  /** A backup or an expiry runs where the repository is; bytes, if it has come so far. */
  running: boolean;
  progress?: { done: number; total: number };
}

interface Status {
  code: number;
  message: string;
}

interface RawBackup {
  annotation?: Record<string, string> | null;
  archive: { start: string | null; stop: string | null };
  database: { id: number; 'repo-key': number };
  error?: boolean | null;
  info: { delta: number; size: number; repository: { delta?: number | null; size?: number | null } };
  label: string;
  lsn?: { start: string | null; stop: string | null };
  prior: string | null;
  reference: string[] | null;
  timestamp: { start: number; stop: number };
  type: BackupKind;
}

interface RawStanza {
  name: string;
  status: Status & { lock?: { backup?: { held: boolean; size?: number; 'size-cplt'?: number } } };
  repo?: { key: number; cipher: string; status: Status }[];
  db?: { id: number; 'repo-key': number; 'system-id': number; version: string }[];
  archive?: {
    database: { id: number; 'repo-key': number };
    id: string;
    min: string | null;
    max: string | null;
  }[];
  backup?: RawBackup[];
}

/** Runs `info` for one stanza; undefined when no repository knows it. Errors: see runBackrest. */
export async function backrestInfo(
  o: Omit<BackrestCommand, 'args' | 'doing'> & { stanza: string },
): Promise<StanzaInfo | undefined> {
  const text = await runBackrest('info', {
    ...o,
    doing: `asking for the backups of ${o.stanza}`,
    options: { ...o.options, output: 'json' },
  });
  return parseBackrestInfo(text).find(({ name }) => name === o.stanza);
}

/** Reads the output of `info --output=json`. Throws PostgresError `ToolFailed` when it is none. */
export function parseBackrestInfo(text: string): StanzaInfo[] {
  let stanzas: RawStanza[];
  try {
    // What cannot be read is printed byte for byte; and 64 bits do not fit into a number.
    const clean = text.replace(/\p{Cc}/gu, ' ').replace(/"system-id":\s*(\d+)/g, '"system-id":"$1"');
    stanzas = JSON.parse(clean) as RawStanza[];
  } catch (cause) {
    throw new PostgresError('ToolFailed', `reading what pgbackrest info said: ${text.slice(0, 200)}`, {
      cause,
    });
  }
  return stanzas.map(stanza);
}

function stanza(raw: RawStanza): StanzaInfo {
  const lock = raw.status.lock?.backup;
  return {
    name: raw.name,
    status: status(raw.status),
    repositories: (raw.repo ?? []).map((repo) => ({
      number: repo.key,
      encrypted: repo.cipher !== 'none',
      status: status(repo.status),
    })),
    databases: (raw.db ?? []).map((db) => ({
      id: db.id,
      repository: db['repo-key'],
      systemID: String(db['system-id']),
      version: db.version,
    })),
    archives: (raw.archive ?? []).map((archive) => ({
      repository: archive.database['repo-key'],
      database: archive.database.id,
      id: archive.id,
      ...(archive.min ? { min: archive.min } : {}),
      ...(archive.max ? { max: archive.max } : {}),
    })),
    backups: (raw.backup ?? []).map(backupSet).sort((a, b) => a.stoppedAt - b.stoppedAt),
    running: lock?.held === true,
    ...(lock?.size === undefined || lock['size-cplt'] === undefined
      ? {}
      : { progress: { done: lock['size-cplt'], total: lock.size } }),
  };
}

function status({ code, message }: Status): Status {
  return { code, message: storeWords([message]) ?? message };
}

function backupSet(raw: RawBackup): BackupSet {
  const { delta, size, repository } = raw.info;
  return {
    label: raw.label,
    type: raw.type,
    repository: raw.database['repo-key'],
    startedAt: raw.timestamp.start * 1000,
    stoppedAt: raw.timestamp.stop * 1000,
    ...(raw.archive.start && raw.archive.stop
      ? { wal: { start: raw.archive.start, stop: raw.archive.stop } }
      : {}),
    ...(raw.lsn?.start && raw.lsn.stop ? { lsn: { start: raw.lsn.start, stop: raw.lsn.stop } } : {}),
    references: raw.reference ?? [],
    ...(raw.prior ? { prior: raw.prior } : {}),
    sizes: {
      database: size,
      copied: delta,
      ...(typeof repository.size === 'number' ? { repository: repository.size } : {}),
      ...(typeof repository.delta === 'number' ? { added: repository.delta } : {}),
    },
    annotations: raw.annotation ?? {},
    damaged: raw.error === true,
    database: raw.database.id,
  };
}

/** Backups that cannot be removed while `label` is needed are those it rests on; this says who rests on `label`. */
export function dependents(backups: readonly BackupSet[], label: string, repository: number): string[] {
  return backups
    .filter((backup) => backup.repository === repository && backup.references.includes(label))
    .map((backup) => backup.label);
}
