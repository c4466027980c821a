/**
 * What the operator and the command line say to pods that can work on repositories, over mutual TLS below
 * /backrest/: the repository pod for its volumes, the instances for object stores.
 */
import type { EffectiveBackup, EffectiveRepository } from './cluster/effective-backup.ts';

/** pgBackRest's words for the types of backups. */
export type BackupKind = 'full' | 'diff' | 'incr';

/** The variable of the repository pod that holds its settings, as JSON. */
export const REPOSITORY_SETTINGS = 'PGHERD_REPOSITORY';
/** Where the repository pod finds its volumes, its certificate, and the passphrases by name of repository. */
export const REPOSITORY_MOUNT = '/repository';
export const CERTIFICATE_MOUNT = '/etc/pgherd/certificate';
/** Below both: what belongs to the repository of a cluster that is gone. No repository can be called so. */
export const FOREIGN = '.foreign';
export const PASSPHRASE_MOUNT = '/etc/pgherd/passphrases';

export interface RepositorySettings {
  cluster: string;
  namespace: string;
  compression: EffectiveBackup['compression'];
  /** Processes of pgBackRest. */
  parallelism: number;
  repositories: (Pick<EffectiveRepository, 'name' | 'retention'> & { number: number; encrypted: boolean })[];
  /** The repository of a cluster that is gone is mounted too, to be read. */
  foreign?: { encrypted: boolean };
}

/** POST /backrest/backup: a backup that somebody asks for. The same id again asks for nothing new. */
export interface BackupRequest {
  id: string;
  stanza: string;
  /** Number of the repository. */
  repository: number;
  type: BackupKind;
  /** Instance that is the primary. */
  primary: string;
  /** Instance whose files are copied, if it is not the primary. */
  standby?: string;
}

/** A backup in a repository. Times in milliseconds since 1970, sizes in bytes. */
export interface BackupSetInfo {
  label: string;
  type: BackupKind;
  /** Number of the repository. */
  repository: number;
  startedAt: number;
  stoppedAt: number;
  wal?: { start: string; stop: string };
  lsn?: { start: string; stop: string };
  /** Labels of the backups that it rests on. */
  references: string[];
  prior?: string;
  sizes: { database: number; copied: number; repository?: number; added?: number };
  annotations: Record<string, string>;
  /** Pages with wrong checksums were found. */
  damaged: boolean;
  database: number;
}

/** GET /backrest/backup: how a backup is, or was. */
export interface BackupJob {
  id: string;
  phase: 'running' | 'done' | 'failed';
  startedAt: number;
  finishedAt?: number;
  progress?: { done: number; total: number };
  /** What came of it. */
  set?: BackupSetInfo;
  error?: string;
  /** The last line pgBackRest said. */
  line?: string;
  /** What it said of damaged pages; the first few of them. */
  damage?: string[];
}

/** Answer to both. `boot` changes when the process does: then what it knew of backups is gone. */
export interface BackupJobAnswer {
  boot: string;
  job?: BackupJob;
  /** The one that runs, if any. */
  running?: BackupJob;
}

/** GET /backrest/info: what repositories hold of a stanza. */
export interface BackupInfo {
  name: string;
  status: { code: number; message: string };
  repositories: { number: number; encrypted: boolean; status: { code: number; message: string } }[];
  databases: { id: number; repository: number; systemID: string; version: string }[];
  archives: { repository: number; database: number; id: string; min?: string; max?: string }[];
  /** Oldest first. */
  backups: BackupSetInfo[];
  running: boolean;
  progress?: { done: number; total: number };
  /** What makes an archive of no use from some moment on, one a repository. Milliseconds since 1970. */
  holes?: {
    repository: number;
    /** Name of a WAL file that is missing. Absent: all backups lie on timelines that were left before they ended. */
    file?: string;
    /** A backup that began later does not need it. */
    afterMs: number;
    /** No such backup is there: what was archived since is of no use yet. */
    open: boolean;
    /** From here on all can be recovered: while it is open, up to where the hole begins. Absent: nothing can be. */
    firstMs?: number;
    /** Where the hole begins. */
    lastMs?: number;
  }[];
}

/** In a backup's annotations: the id of the request that it answers. */
export const ANNOTATION_REQUEST = 'pgherd-request';

/** pgBackRest's words for our types. */
export const BACKUP_KINDS = { full: 'full', differential: 'diff', incremental: 'incr' } as const;

/** Our words for pgBackRest's types. */
export const BACKUP_TYPES = { full: 'full', diff: 'differential', incr: 'incremental' } as const;
