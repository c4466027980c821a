/**
 * What the loop may ask of the database in its pod, and what it may know about it.
 *
 * The executor (this folder) decides nothing: it carries out one request at a time and tells the truth
 * about the outcome. Requests that change the process or the data directory are serialised; a second one
 * waits for the first. Every promise is rejected with a PostgresError or an InstanceError when the
 * request failed.
 */
import type { EffectiveSpec, InstanceReport, RecoveredReport, VolumeUsage } from '@pgherd/api';
import type { StopOptions } from '@pgherd/postgres';
import type { PromiseNote } from './promise-note.ts';
import type { CloneSpec, RecoverSpec } from './recover.ts';

/** Name of an instance and the address (IP) of its pod. */
export interface Upstream {
  name: string;
  address: string;
}

/**
 * What lies in the data directory:
 * - `empty`: nothing worth keeping (also an initdb or a copy that was never completed).
 * - `unclaimed`: a complete, synced, fresh cluster that nobody has claimed on the Lease yet. If the Lease
 *   already names its systemID (crash between the swap and `claim()`), claim it; if the Lease names another,
 *   wipe it.
 * - `copying`: a copy from another instance is running now.
 * - `present`: a data directory that was claimed or copied in full.
 * - `damaged`: claimed once, but unreadable now (no control file, interrupted rewind, ...): fresh copy.
 */
export type DataState = 'empty' | 'unclaimed' | 'copying' | 'present' | 'damaged';

export interface DatabaseView {
  data: DataState;
  /** Why the data are `damaged`, in words. */
  damage?: string;
  /** Random id of this volume's content; changes whenever the content is initialised or copied anew. */
  incarnation?: string;
  systemID?: string;
  timeline?: number;
  /** As a primary: the timeline that ours branched off from, and where; absent on the first timeline. */
  branch?: { parent: number; start: string };
  /** `Database cluster state` of the control file, as pg_controldata says it (read while stopped). */
  controlState?: string;
  /** Latest checkpoint of the control file while stopped: the last record of a primary that was shut down in order. */
  checkpointLsn?: string;
  /** As a standby it was made a primary by somebody else's hand, and has been neither rewound nor copied since. */
  promotedByHand?: boolean;
  process: 'stopped' | 'starting' | 'running' | 'stopping';
  /** While it starts: the WAL file that its recovery is at. */
  recovering?: string;
  /** False while the process runs but the last SQL observation failed or timed out. */
  sqlReachable: boolean;
  inRecovery?: boolean;
  currentLsn?: string;
  /** Flushed by the WAL receiver; null in PostgreSQL after a restart, then absent here. */
  receivedLsn?: string;
  replayedLsn?: string;
  /** In recovery: all WAL that lies in pg_wal has been replayed (what `replayedLsn` says is all there is). */
  replayedAll?: boolean;
  /** In recovery: WAL comes in, on the newest timeline that is known here. A standby whose history has parted never streams. */
  streaming: boolean;
  /** Instance this one is configured to follow, if any. */
  upstream?: string;
  receiverRunning: boolean;
  /** The upstream no longer has the WAL that comes next here, in its words; it may still come from an archive. */
  missingWal?: string;
  /** As a standby it can fetch WAL from an archive, too. */
  archive?: boolean;
  /** Why nothing comes from the upstream, in PostgreSQL's words. */
  receiverError?: string;
  replication: InstanceReport['replication'];
  syncNames?: string;
  pendingRestart: boolean;
  /** What the server runs with of the settings that a standby must not be below its primary in. */
  minimums?: Readonly<Record<string, number>>;
  /** The names of those that are higher than the spec says. */
  raised?: string[];
  /** How full the volumes are, as last seen. */
  volumes: readonly VolumeUsage[];
  /** The process runs, but nothing answers at its socket: not even a refusal. */
  silent?: boolean;
  /** `server_version`, e.g. `15.14`. */
  version?: string;
  /** Where the recovery of these data ended; absent for data of another origin. */
  recovered?: RecoveredReport;
  /** When this observation began (monotonic milliseconds, performance.now()). */
  observedAt: number;
}

export interface ExitInfo {
  code: number | null;
  signal: string | null;
  /** True when a stop() or die() was under way. */
  expected: boolean;
  /** Last lines of the server log, for the report. */
  lastLog: string[];
}

export interface WalLost {
  /** Files in pg_wal that vanished under the running primary. */
  files: string[];
  /** Why it could not be mended; it is tried again. Absent: what they held is in the data files now. */
  why?: string;
}

/** Everything initdb and the first SQL need; see bootstrap/plan.ts, which makes it from the spec. */
export interface InitialiseSpec {
  encoding: string;
  localeCollate?: string;
  localeCType?: string;
  locale?: string;
  localeProvider?: string;
  icuLocale?: string;
  icuRules?: string;
  builtinLocale?: string;
  dataChecksums: boolean;
  walSegmentSizeMB?: number;
  database: string;
  owner: string;
  ownerPassword?: string;
  superuserPassword?: string;
  postInitSQL: string[];
  postInitApplicationSQL: string[];
  postInitTemplateSQL: string[];
}

export interface ApplicationSecrets {
  /** Content of the application secret, if it exists. */
  app?: { username: string; password: string };
  /** Content of the superuser secret; absent when superuser access is off (the password is then removed). */
  superuser?: { password: string };
}

export interface StandbyOptions {
  /** null: follow nobody (WAL receiver off, replay what is there). */
  upstream: Upstream | null;
  /** `application_name` towards the upstream: the instance name only when the Lease records our incarnation. */
  applicationName: string;
  /** synchronous_standby_names to be in force from the moment of a promotion on; a standby does not heed them. */
  syncNames?: string;
  /** No WAL from anywhere, the archive included: a promise binds this standby (ELECTION 5). */
  sealed?: boolean;
}

/** Runs one query that only reads. */
export type ReadQuery = <R extends Record<string, unknown>>(text: string) => Promise<R[]>;

export interface Database {
  /** The last observation; cheap. */
  view(): DatabaseView;
  /** Observes anew. Ends within a second or marks SQL as unreachable; never throws. Concurrent calls share one. */
  observe(signal?: AbortSignal): Promise<DatabaseView>;
  /** The postmaster ended, expected or not. Its backends may still live: only die() makes death certain. */
  onExit(callback: (info: ExitInfo) => void): void;
  /** Files of the WAL vanished under the running primary, and were seen to; see WalLoss. */
  onWalLost(callback: (loss: WalLost) => void): void;

  /**
   * initdb, first SQL on a private socket (no network, nobody can connect), clean stop, sync.
   * Leaves the data `unclaimed`; a failed or interrupted one leaves them `empty`.
   */
  initialise(spec: InitialiseSpec): Promise<{ systemID: string }>;
  /**
   * Restores out of a repository, or copies another cluster; replays and promotes on a private socket. Leaves the data
   * `unclaimed`; a failed or interrupted one leaves them `empty`, and the next try goes on with what is there. What
   * cannot be mended by trying again, and what failed too often, is refused at once from then on (`RecoveryFailed`).
   */
  recover(o: RecoverSpec | CloneSpec): Promise<{ systemID: string }>;
  /** On the primary: all WAL so far is in the archive when this resolves, with a commit of that time at its end. */
  seal(withinMs: number): Promise<{ at: string }>;
  /** Rows of a table (its name quoted) of a database. */
  count(database: string, table: string): Promise<number>;
  /** How far a recovery that is under way has come. */
  progress(): InstanceReport['progress'];
  /** After the Lease has recorded our systemID: the data become `present`. Durable when resolved. */
  claim(): Promise<void>;

  /** Starts as primary, with this synchronous_standby_names in force from the first moment. Resolves when it accepts connections. */
  startPrimary(o: { syncNames: string }): Promise<void>;
  /** Starts in recovery. Resolves when it accepts connections, or as soon as the process runs and replays (`accepting: false`). */
  startStandby(o: StandbyOptions): Promise<{ accepting: boolean }>;
  /** Changes the upstream of a running standby by reload. With null: resolves once the WAL receiver is gone (durable). */
  follow(o: StandbyOptions): Promise<void>;

  /**
   * For a promise: the note is on disk first, then no WAL comes in from anywhere, and none is passed on; that holds
   * over restarts of PostgreSQL. Before PostgreSQL 13, which must be restarted for it, the standby is stopped.
   */
  cutWal(promise: PromiseNote): Promise<void>;
  /** The last promise that was noted on this volume. */
  readonly promised: PromiseNote | undefined;

  /** Resolves once the names are in force: postmaster and every WAL sender have reloaded. Every start sets them anew. */
  setSync(names: string): Promise<void>;
  /**
   * Keeps a physical slot for each of these instances (ourselves left out), drops those of others. On a standby,
   * with `primary`: moves them to where the primary's are; resolves with the slots of users that lie idle there.
   */
  ensureSlots(instances: string[], primary?: Upstream): Promise<string[]>;

  /**
   * Sets the rule, promotes, resolves as soon as it accepts writes. The checkpoint is a separate call. The new
   * timeline has the number `timeline`, or a higher one that nobody has used.
   */
  promote(o: { syncNames: string; timeline?: number }): Promise<{ timeline: number }>;
  checkpoint(): Promise<void>;
  /** On the primary, before a planned stop; see readyToStop. */
  readyToStop(standbys: (checkpoint: string) => Promise<void>): Promise<void>;
  /** On a standby, before a planned change of primary; see readyToTakeOver. */
  readyToTakeOver(checkpoint: string): Promise<void>;

  /** Fast stop; immediate after fastMs; certain death after immediateMs more. Resolves when nothing of PGDATA lives. */
  stop(o: StopOptions): Promise<void>;
  /** Certain death (ELECTION 3): SIGKILL to all that works in PGDATA, confirmed within 1 s, else throws code `Undead`. Interrupts any request under way. */
  die(): Promise<void>;

  /** Base backup from a running instance into an empty directory; new incarnation; leaves the data `present`, stopped. */
  copy(o: { source: Upstream }, signal: AbortSignal): Promise<void>;
  /** pg_rewind against a running primary. `discarded`: the WAL range of ours that is gone. Interrupted: `damaged`. */
  rewind(
    o: { source: Upstream },
    signal: AbortSignal,
  ): Promise<{ rewound: boolean; discarded?: { from: string; to: string } }>;
  /** Empties the data directory (and WAL) so that copy() may run; the process must be stopped. */
  wipeForCopy(source?: Upstream): Promise<void>;

  /** Renders and reloads settings, pg_hba, pg_ident; stopped, it judges them for the next start. `reload`: also if nothing has changed. */
  applySettings(eff: EffectiveSpec, options?: { reload?: boolean }): Promise<{ pendingRestart: boolean }>;
  /** On the primary: application role, database and password, superuser password, replication role. Idempotent. */
  ensureApplication(eff: EffectiveSpec, secrets: ApplicationSecrets): Promise<void>;
  /** Without a restart: certificates, for one. It also wakes an archiver that rests after failures. */
  readFilesAgain(): Promise<void>;
  /** Reads as superuser, for metrics: several queries over one connection. Rejects when the server is not reachable. */
  read<T>(run: (query: ReadQuery) => Promise<T>): Promise<T>;
}
