/** Backups and archiving in the status of a cluster. Pure. */
import type { ArchiveReport, BackupInfo, ClusterCondition, ClusterStatus } from '@pgherd/api';
import { stanzaName } from '@pgherd/api';
import { type Facts, isLeader } from '../facts.ts';
import { numbersOf } from '../plan-repository.ts';

/** A repository is given so long to come up before its absence makes the cluster degraded. */
export const SET_UP_MS = 45_000;
/** A backlog is worth a warning when it takes this part of the volume, and so many segments at least. */
const BACKLOG_PART = 0.05;
const BACKLOG_LEAST = 8;
/** A repository is worth a warning when so much of its volume is taken. */
const REPOSITORY_PART = 0.85;
const SEGMENT_BYTES = 16 * 1024 * 1024;

export type ArchiveState =
  | { is: 'unknown'; message: string }
  | { is: 'working'; message: string }
  /** WAL gets there, but not as fast as it is made. */
  | { is: 'behind'; message: string }
  /** WAL gets there, for now: a repository has little room left. */
  | { is: 'filling'; message: string }
  /** WAL gets there, but one file is missing there, and no backup has been made since. */
  | { is: 'broken'; message: string }
  | { is: 'settingUp'; message: string }
  | { is: 'failing'; message: string };

/** How archiving goes on; undefined where none is asked for. */
export function archiveState(facts: Facts): ArchiveState | undefined {
  const { backup } = facts.spec;
  if (!backup) return undefined;
  const archive = leaderArchive(facts);
  if (!archive) return { is: 'unknown', message: 'no primary tells how archiving goes on' };
  if (archive.error) return { is: 'failing', message: failing(facts, archive) };
  const ready = new Set(archive.repositories ?? []);
  const missing = backup.repositories.filter(({ name }) => !ready.has(name)).map(({ name }) => name);
  if (missing.length > 0) {
    const words = missing.map((name) => {
      const problem = archive.problems?.[name];
      return problem ? `${name}: ${problem}` : name;
    });
    return { is: 'settingUp', message: `repositories are not ready: ${words.join('; ')}${waits(archive)}` };
  }
  if (isBehind(facts, archive)) return { is: 'behind', message: `archiving is behind${waits(archive)}` };
  const broken = brokenArchives(facts);
  if (broken) return { is: 'broken', message: broken };
  const full = fullVolumes(archive);
  if (full) return { is: 'filling', message: `WAL is being archived, but ${full}` };
  return { is: 'working', message: 'WAL is being archived' };
}

/** In which repositories what was archived last cannot be recovered, in words. */
function brokenArchives(facts: Facts): string | undefined {
  const words = [...numbersOf(facts)].flatMap(([name, number]) => {
    const hole = holeOf(facts.backup?.info, number);
    return hole?.open ? [`repository ${name}: ${holeText(hole)}`] : [];
  });
  return words.length > 0 ? `${words.join('; ')}; a full backup is made` : undefined;
}

/** Which repositories are about to be full, in words. */
function fullVolumes({ volumes = {} }: ArchiveReport): string | undefined {
  const full = Object.entries(volumes)
    .filter(([, { usedBytes, sizeBytes }]) => usedBytes >= sizeBytes * REPOSITORY_PART)
    .map(([name, { usedBytes, sizeBytes }]) => {
      const [used, size] = [usedBytes, sizeBytes].map((bytes) => Math.round(bytes / 1024 / 1024));
      return `repository ${name} is ${Math.floor((100 * usedBytes) / sizeBytes)} % full (${used} of ${size} MiB)`;
    });
  if (full.length === 0) return undefined;
  return `${full.join('; ')}: give it a larger volume, or keep fewer backups (retention)`;
}

function failing(facts: Facts, archive: ArchiveReport): string {
  const volume = facts.spec.walStorage ?? facts.spec.storage;
  const bytes = archive.waitingBytes ?? 0;
  const full = bytes > volume.bytes * BACKLOG_PART ? ` of a volume of ${volume.size}` : '';
  const volumes = fullVolumes(archive);
  const words = `WAL file ${archive.lastFailed} cannot be archived: ${whose(facts, archive)}${waits(archive)}${full}`;
  return volumes ? `${words}; ${volumes}` : words;
}

/** pgBackRest speaks of numbers, and of one repository for all: where it is known, each is named with what it says. */
function whose({ spec }: Facts, { error = '', problems = {} }: ArchiveReport): string {
  const own = spec.backup!.repositories.filter(({ name }) => problems[name]).map(({ name }) => name);
  if (own.length === 0) return error;
  return own.map((name) => `repository ${name}: ${problems[name]}`).join('; ');
}

function waits({ waiting, waitingBytes = 0 }: ArchiveReport): string {
  if (waiting === 0) return '';
  const megabytes = Math.round(waitingBytes / 1024 / 1024);
  return `; ${waiting} WAL ${waiting === 1 ? 'file waits' : 'files wait'} (${megabytes} MiB)`;
}

function isBehind(facts: Facts, { waiting }: ArchiveReport): boolean {
  return waiting >= backlogLimit(facts);
}

/** From so many waiting segments on, there is a warning. */
export function backlogLimit({ spec }: Pick<Facts, 'spec'>): number {
  const { bytes } = spec.walStorage ?? spec.storage;
  return Math.max(BACKLOG_LEAST, Math.floor((bytes * BACKLOG_PART) / SEGMENT_BYTES));
}

function leaderArchive(facts: Facts): ArchiveReport | undefined {
  const leader = facts.instances.find((instance) => isLeader(facts, instance));
  return leader?.report?.archive?.active ? leader.report.archive : undefined;
}

/** Since when (milliseconds) archiving has not worked, as the status says; now, if that is news. */
export function notArchivingSince({ cluster, now }: Pick<Facts, 'cluster' | 'now'>): number {
  const known = cluster.status?.conditions?.find(({ type }) => type === 'ContinuousArchiving');
  const since = known?.status === 'False' ? Date.parse(known.lastTransitionTime ?? '') : Number.NaN;
  return Number.isNaN(since) ? now : since;
}

/** The reason in one word, for the condition. */
export const ARCHIVE_REASONS: Record<ArchiveState['is'], string> = {
  unknown: 'NoPrimary',
  working: 'Archiving',
  behind: 'ArchivingBehind',
  filling: 'RepositoryFilling',
  broken: 'WALMissing',
  settingUp: 'RepositoriesNotReady',
  failing: 'ArchiveFailing',
};

export function archiveStatus(state: ArchiveState): ClusterCondition['status'] {
  if (state.is === 'unknown') return 'Unknown';
  return ['working', 'behind', 'filling', 'broken'].includes(state.is) ? 'True' : 'False';
}

const WARNINGS = [
  ARCHIVE_REASONS.failing,
  ARCHIVE_REASONS.behind,
  ARCHIVE_REASONS.filling,
  ARCHIVE_REASONS.broken,
];

/** What is worth an event when the reason of the condition changes. */
export function archiveEvent(
  before: ClusterStatus,
  after: ClusterStatus,
): { severity: 'Normal' | 'Warning'; reason: string; message: string } | undefined {
  const of = ({ conditions }: ClusterStatus) =>
    conditions?.find(({ type }) => type === 'ContinuousArchiving');
  const now = of(after);
  if (!now?.reason || now.reason === of(before)?.reason) return undefined;
  const { reason, message = '' } = now;
  if (WARNINGS.includes(reason)) return { severity: 'Warning', reason, message };
  return reason === ARCHIVE_REASONS.working ? { severity: 'Normal', reason, message } : undefined;
}

const rfc3339 = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** `status.backup` and what belongs to it; nothing where no backup is asked for. */
export function backupStatus(facts: Facts): Partial<ClusterStatus> {
  const { spec, cluster, backup } = facts;
  if (!spec.backup) return {};
  const before = cluster.status ?? {};
  const archive = leaderArchive(facts);
  const systemID = facts.lease?.systemID ?? before.systemID;
  const info = backup?.info;
  const numbers = [...numbersOf(facts)];
  const newest = info?.backups.at(-1);
  const added = new Map(numbers.map(([name, number]) => [number, addedAt(before, name)]));
  const window = recoverable(info, before, added);
  return {
    backup: {
      ...(systemID ? { stanza: stanzaName(cluster.metadata.name, systemID) } : {}),
      repositories: numbers.map(([name, number]) => ({
        name,
        number,
        ready: (archive?.repositories?.includes(name) ?? false) && !(info && unreadable(info, number)),
        ...given({
          message: archive?.problems?.[name] ?? (info && (unreadable(info, number) ?? missing(info, number))),
        }),
        ...since(facts, name),
        ...(info && !unreadable(info, number)
          ? repositoryInfo(info, number, addedAt(before, name))
          : beforeInfo(before, name)),
      })),
      ...given({
        lastArchivedWAL: archive?.lastArchived ?? before.backup?.lastArchivedWAL,
        lastArchivedTime: archive?.lastArchivedAt ?? before.backup?.lastArchivedTime,
        lastFailedWAL: archive?.lastFailed,
        waitingSegments: archive?.waiting ?? before.backup?.waitingSegments,
      }),
    },
    ...given({
      firstRecoverabilityPoint: window.first,
      lastRecoverabilityPoint: lastRecoverable(
        window.first,
        window.until ?? archive?.recoverableUntil ?? before.lastRecoverabilityPoint,
      ),
      lastSuccessfulBackup: newest ? rfc3339(newest.stoppedAt) : before.lastSuccessfulBackup,
      lastFailedBackup: backup?.lastFailed ?? before.lastFailedBackup,
    }),
  };
}

/** A repository that comes to a database that is there already. */
function since({ cluster, now }: Facts, name: string): Partial<RepositoryStatus> {
  const { systemID, backup } = cluster.status ?? {};
  const known = backup?.repositories?.find((one) => one.name === name);
  const at = known ? known.since : systemID && rfc3339(now);
  return at ? { since: at } : {};
}

/** Since when (milliseconds) a repository has got all WAL; 0: always. */
export function addedAt({ backup }: ClusterStatus, name: string): number {
  return Date.parse(backup?.repositories?.find((one) => one.name === name)?.since ?? '') || 0;
}

/** RFC 3339. `until`: only where it ends before what was archived last. */
interface Window {
  first?: string | undefined;
  until?: string;
}

/** Of the repositories that lead to the present, that which reaches back furthest; without one, the furthest. */
function recoverable(
  info: BackupInfo | undefined,
  before: ClusterStatus,
  added: ReadonlyMap<number, number>,
): Window {
  const isAway = info?.repositories?.every(({ number }) => unreadable(info, number));
  // What was known last is not gone with the answer.
  if (!info || (isAway && info.repositories.length > 0)) return { first: before.firstRecoverabilityPoint };
  const numbers = new Set(info.backups.map(({ repository }) => repository));
  const spans = [...numbers].flatMap((number) => spanIn(info, number, added.get(number) ?? 0));
  const whole = spans.filter(({ until }) => until === undefined);
  if (whole.length > 0) return { first: rfc3339(Math.min(...whole.map(({ first }) => first))) };
  const [last] = spans.sort((a, b) => b.until! - a.until!);
  return last ? { first: rfc3339(last.first), until: rfc3339(last.until!) } : {};
}

/** What one repository leads to, milliseconds since 1970; nothing where that is nothing. */
function spanIn(info: BackupInfo, number: number, added: number): { first: number; until?: number }[] {
  const sets = info.backups.filter(
    ({ repository, startedAt }) => repository === number && startedAt >= added,
  );
  const oldest = firstPoint({ backups: sets });
  if (oldest === undefined) return [];
  const hole = holeOf(info, number);
  if (!hole) return [{ first: oldest }];
  if (hole.firstMs === undefined) return [];
  const first = Math.max(oldest, hole.firstMs);
  return hole.open ? [{ first, until: Math.max(first, hole.lastMs ?? 0) }] : [{ first }];
}

type Hole = NonNullable<BackupInfo['holes']>[number];

export function holeOf(info: BackupInfo | undefined, number: number | undefined): Hole | undefined {
  return info?.holes?.find(({ repository }) => repository === number);
}

function holeText(hole: Hole): string {
  const why = hole.file
    ? `the WAL file ${hole.file} is missing in the archive`
    : 'the cluster was restored to a moment before the first backup there';
  return `${why}: ${reachText(hole)} can be restored`;
}

function reachText({ firstMs, lastMs, open }: Hole): string {
  if (firstMs === undefined) return 'nothing';
  const [first, last] = [rfc3339(firstMs), lastMs === undefined ? undefined : rfc3339(lastMs)];
  if (open) return `only ${first} to ${last}`;
  return last === undefined ? `no time before ${first}` : `no time between ${last} and ${first}`;
}

/** What is said of a repository with a hole. */
function missing(info: BackupInfo, number: number): string | undefined {
  const hole = holeOf(info, number);
  return hole && holeText(hole);
}

/** Without a backup the WAL in the archive recovers nothing; with one, its own end is reached even without more WAL. */
function lastRecoverable(first: string | undefined, until: string | undefined): string | undefined {
  if (first === undefined || until === undefined) return first;
  return Date.parse(until) > Date.parse(first) ? until : first;
}

type RepositoryStatus = NonNullable<NonNullable<ClusterStatus['backup']>['repositories']>[number];

function repositoryInfo(info: BackupInfo, number: number, added: number): Partial<RepositoryStatus> {
  const sets = info.backups.filter(({ repository }) => repository === number);
  const [span] = spanIn(info, number, added);
  const first = span?.first;
  const last = sets.at(-1);
  return {
    backups: sets.length,
    ...(first ? { firstRecoverabilityPoint: rfc3339(first) } : {}),
    ...(last ? { lastBackup: last.label } : {}),
  };
}

function beforeInfo({ backup }: ClusterStatus, name: string): Partial<RepositoryStatus> {
  const known = backup?.repositories?.find((one) => one.name === name);
  if (!known) return {};
  const { backups, firstRecoverabilityPoint, lastBackup } = known;
  return given({ backups, firstRecoverabilityPoint, lastBackup });
}

/** pgBackRest says so of a repository of which it can say nothing more. */
const OTHER_ERROR = 99;

/** Why it is not known what a repository holds; undefined where that is known. */
export function unreadable(
  { repositories = [] }: BackupInfo,
  number: number | undefined,
): string | undefined {
  const status = repositories.find((one) => one.number === number)?.status;
  return status?.code === OTHER_ERROR ? status.message : undefined;
}

/** A database can be restored to the end of a backup at the earliest. */
function firstPoint({ backups }: Pick<BackupInfo, 'backups'>): number | undefined {
  return backups.length === 0 ? undefined : Math.min(...backups.map(({ stoppedAt }) => stoppedAt));
}

function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
