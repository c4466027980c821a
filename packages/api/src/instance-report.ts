/** What an instance says of itself: the answer to `GET https://POD:8000/status` over mutual TLS. */

export type InstanceRole = 'primary' | 'replica' | 'none';

export type InstanceState =
  | 'waiting'
  | 'bootstrapping'
  | 'copying'
  | 'starting'
  | 'running'
  | 'promoting'
  | 'demoting'
  | 'rewinding'
  | 'stopped'
  | 'failed';

/** One row of the instance's pg_stat_replication. */
export interface ReplicationRow {
  /** application_name of the standby: an instance's name once the Lease records it as a member. */
  readonly name: string;
  readonly address?: string;
  readonly state: string;
  readonly syncState: string;
  readonly sentLsn?: string;
  readonly flushLsn?: string;
  readonly replayLsn?: string;
}

export interface VolumeUsage {
  /** Name of the PersistentVolumeClaim. */
  readonly name: string;
  /** `full`: PostgreSQL is not started on it; `low`: somebody should make space. */
  readonly level: 'fine' | 'low' | 'full';
  readonly usedBytes: number;
  readonly sizeBytes: number;
  /** What is written there does not come back. */
  readonly hung?: boolean;
}

/** How WAL archiving goes on, as the primary sees it; on a replica, what it still keeps for the archive. */
export interface ArchiveReport {
  /** True while WAL is to be archived from here. */
  readonly active: boolean;
  /** Last WAL file that was archived, as pg_stat_archiver says, and when (RFC 3339). */
  readonly lastArchived?: string;
  readonly lastArchivedAt?: string;
  /** All that was committed until then (RFC 3339) is in the archive. */
  readonly recoverableUntil?: string;
  /** The WAL file that could not be archived, when, and why: only while no later one could. */
  readonly lastFailed?: string;
  readonly lastFailedAt?: string;
  readonly error?: string;
  /** WAL files that wait for being archived. */
  readonly waiting: number;
  /** Bytes they take. */
  readonly waitingBytes?: number;
  /** Why an archive cannot be used at all, by the name of the repository. */
  readonly problems?: Readonly<Record<string, string>>;
  /** Names of the repositories whose stanza is there and fits this database. */
  readonly repositories?: readonly string[];
  /** How full repositories are that are volumes, by name. */
  readonly volumes?: Readonly<Record<string, { usedBytes: number; sizeBytes: number }>>;
}

/** Where a recovery of this volume's content ended. */
export interface RecoveredReport {
  /** Label of the backup it began with; for a live copy, the name of the instance. */
  readonly backup: string;
  /** Where it was to end, in words. */
  readonly target?: string;
  /** Time of the last transaction that is there (RFC 3339). */
  readonly time?: string;
  readonly lsn?: string;
  readonly xid?: string;
  /** Why replay ended there, in PostgreSQL's words. */
  readonly stopped?: string;
  readonly timeline: number;
  readonly finishedAt: string;
  /** Which restoration asked for it. */
  readonly id: string;
}

export interface InstanceReport {
  readonly name: string;
  readonly podUID: string;
  /** `${podUID}/${managerStart}`: what a Lease's holder is called. */
  readonly identity: string;
  /** What PostgreSQL is now. */
  readonly role: InstanceRole;
  readonly state: InstanceState;
  readonly ready: boolean;
  /** It holds the Lease, by its own belief. */
  readonly leader: boolean;
  readonly systemID?: string;
  /** Random id of this volume's content, renewed by each fresh copy. */
  readonly incarnation?: string;
  readonly timeline?: number;
  readonly postgresVersion?: string;
  readonly currentLsn?: string;
  readonly receivedLsn?: string;
  readonly replayedLsn?: string;
  readonly streaming: boolean;
  /** The instance it follows. */
  readonly upstream?: string;
  readonly epoch?: number;
  /** synchronous_standby_names in force. */
  readonly syncNames?: string;
  readonly replication: readonly ReplicationRow[];
  /** What it waits for, since when and until when (RFC 3339 times). */
  readonly waiting?: { readonly what: string; readonly since: string; readonly deadline?: string };
  readonly error?: { readonly code: string; readonly message: string };
  readonly dataEmpty: boolean;
  readonly pendingRestart?: boolean;
  /**
   * Settings that it runs with a higher value of than the spec says: a standby must not be below its primary. They come
   * down by a restart of the primary in place, and then of the replicas.
   */
  readonly raisedSettings?: readonly string[];
  readonly volumes?: readonly VolumeUsage[];
  /** What this database was recovered from; missing for one made by initdb. */
  readonly recovered?: RecoveredReport;
  /** How far a recovery is. */
  readonly progress?: {
    readonly doing: string;
    readonly done: number;
    readonly total: number;
    readonly unit: string;
  };
  /** What of the secrets of the server and of replication is in force, as certificateMark has it. */
  readonly certificates?: { readonly server: string; readonly replication: string };
  /** Missing while no backup is set up. */
  readonly archive?: ArchiveReport;
  /** The leader that it lets go on without the API, while that grant lasts. */
  readonly grantsTo?: { readonly identity: string; readonly epoch: number };
  /** The state of the Lease that it has promised on: it receives no WAL until the Lease has another version. */
  readonly promised?: { readonly epoch: number; readonly version: string };
  /** The state of the Lease that it would promise on now, since it has not heard of the leader for long. */
  readonly wouldPromise?: { readonly epoch: number; readonly version: string };
  /**
   * Since when it has served as the primary (while it does), and when its stop as a primary last began. RFC 3339 by
   * its own clock, known only of the manager that runs now.
   */
  readonly service?: { readonly since?: string; readonly until?: string };
  /** The last reload it was asked for and has carried out; `why`: what PostgreSQL refused. */
  readonly reload?: { readonly id: string; readonly why?: string };
  /** What became of the last switchover that was asked of it as the leader. */
  readonly switchover?: { readonly id: string; readonly outcome: 'done' | 'failed'; readonly why?: string };
}

/** What of a report is news when it changes: not the positions, which always do. */
export function reportSummary(report: InstanceReport): string {
  const { role, state, ready, leader, streaming, timeline, waiting, error, switchover, reload } = report;
  const { archive, certificates } = report;
  const archiving = archive && [archive.error, archive.problems, archive.repositories];
  const asked = [switchover?.id, switchover?.outcome, reload?.id, report.raisedSettings?.length];
  const words = [
    role,
    state,
    ready,
    leader,
    streaming,
    timeline,
    waiting?.what,
    error?.code,
    archiving,
    certificates,
    ...asked,
  ];
  return JSON.stringify(words);
}

/** What an instance waits for, after its name. */
export function waitsText(what: string): string {
  return what.startsWith('cannot ') ? what : `waits for ${what}`;
}
