/** What to do about one Backup, given what is known. Pure. */
import {
  ALL_INSTANCES,
  BACKUP_KINDS,
  BACKUP_TYPES,
  type BackupJob,
  type BackupRequest,
  type BackupSetInfo,
  type BackupStatus,
  type EffectiveRepository,
  fencedMark,
  isHibernating,
  restoreMark,
  stanzaName,
} from '@pgherd/api';
import { type Facts, type InstanceFacts, isHealthy, isLeader, systemID } from '../cluster/facts.ts';
import { numbersOf } from '../cluster/plan-repository.ts';
import { noRepository } from '../cluster/recovery-source.ts';
import type { BackupObject } from './kind.ts';

/** Where a backup runs. */
export type Executor =
  | { kind: 'repository' }
  /** In the pod of the instance that is copied. */
  | { kind: 'instance'; name: string };

/** What the pod that runs a backup says of it. */
export interface ExecutorFacts {
  /** Its answer, if there was one. */
  boot?: string;
  job?: BackupJob;
  /** A backup of somebody else runs there. */
  busyWith?: string;
  /** Why there was none, and since when (milliseconds) there has been none. */
  silent?: { why: string; since: number };
}

export interface BackupLook {
  now: number;
  backup: BackupObject;
  /** Undefined: there is no such cluster. */
  cluster: Facts | undefined;
  /** Another backup of the cluster that goes first. */
  behind?: string;
  /** Since when (milliseconds) it is its turn. Default: since it was made. */
  turnSince?: number;
  /** Once it runs: what the pod says. */
  executor?: ExecutorFacts;
  /** The backup as the repository has it, whoever says what else. */
  found?: BackupSetInfo;
}

export type BackupStep =
  | { do: 'wait'; status: BackupStatus; afterMs: number }
  /** Write the status, then ask for the backup. */
  | { do: 'ask'; status: BackupStatus; executor: Executor; request: BackupRequest }
  /** It has ended. */
  | { do: 'end'; status: BackupStatus; cancel?: boolean; damaged?: boolean };

/** A cluster that comes in one file with its backup may be seen after it. */
const CLUSTER_MS = 10_000;
/** So long a backup waits for a primary or for its repository. */
export const PATIENCE_MS = 10 * 60_000;
/** A pod that is silent for so long no longer runs anything. */
const SILENCE_MS = 60_000;
/** A backup that runs is looked at so often. */
export const LOOK_MS = 1_000;

const rfc3339 = (ms: number) => new Date(ms).toISOString();

/** The one step to take now. The backup is not over yet. */
export function planBackup(look: BackupLook): BackupStep {
  return look.backup.status?.phase === 'Running' ? running(look) : pending(look);
}

function pending(look: BackupLook): BackupStep {
  const { cluster, backup, now, behind } = look;
  const { name } = backup.spec.cluster;
  const age = now - Date.parse(backup.metadata.creationTimestamp ?? '');
  if (!cluster)
    return age < CLUSTER_MS
      ? wait(look, `there is no cluster ${name} yet`)
      : fail(look, `there is no cluster ${name} in namespace ${backup.metadata.namespace}`);
  const { backup: setup } = cluster.spec;
  if (!setup) return fail(look, `cluster ${name} has no spec.backup: name a repository there first`);
  const wanted = backup.spec.repository;
  const repository = wanted ? setup.repositories.find((one) => one.name === wanted) : setup.repositories[0];
  if (!repository) return fail(look, noRepository(cluster.cluster, wanted));
  if (isHibernating(cluster.cluster))
    return fail(look, `cluster ${name} hibernates: wake it first (pgherd hibernate off ${name})`);
  if (behind) return wait(look, `waits for Backup ${behind} to end`);
  const obstacle = notYet(cluster, repository);
  const waited = look.turnSince === undefined ? age : now - look.turnSince;
  if (obstacle)
    return waited > PATIENCE_MS
      ? fail(look, `after ${PATIENCE_MS / 60_000} minutes: ${obstacle}`)
      : wait(look, obstacle);
  return begin(look, cluster, repository);
}

/** What stands in the way of a backup for now. */
function notYet(cluster: Facts, repository: EffectiveRepository): string | undefined {
  const leader = leaderOf(cluster);
  if (!systemID(cluster) || !leader?.report || leader.report.role !== 'primary') return noPrimary(cluster);
  const { archive } = leader.report;
  if (!archive?.repositories?.includes(repository.name)) {
    const problem = archive?.problems?.[repository.name];
    return `repository ${repository.name} is not ready${problem ? `: ${problem}` : ''}`;
  }
  return undefined;
}

function noPrimary({ cluster }: Facts): string {
  const restored = restoredBy(cluster);
  if (restored) return `${restored} restores the cluster in place`;
  const fenced = fencedMark(cluster).map((name) => (name === ALL_INSTANCES ? 'all instances' : name));
  const why = fenced.length > 0 ? ` (fenced: ${fenced.join(', ')})` : '';
  return `there is no primary at the moment${why}`;
}

/** The Operation that restores the cluster in place, in words, until the restored primary is whole. */
function restoredBy(cluster: Facts['cluster']): string | undefined {
  const { restoration } = cluster.status ?? {};
  if (!restoration || ['done', 'returned'].includes(restoration.stage)) return undefined;
  const { operation } = restoreMark(cluster) ?? {};
  return operation ? `Operation ${operation}` : 'an Operation';
}

function leaderOf(cluster: Facts): InstanceFacts | undefined {
  return cluster.instances.find((instance) => isLeader(cluster, instance));
}

/** The instance to copy: a replica that streams, if one is wanted and there. */
function targetOf(cluster: Facts, leader: InstanceFacts, target: string): InstanceFacts {
  if (target === 'primary') return leader;
  const replicas = cluster.instances.filter(
    (instance) => instance !== leader && isHealthy(cluster, instance),
  );
  return replicas.at(-1) ?? leader;
}

function begin(look: BackupLook, cluster: Facts, repository: EffectiveRepository): BackupStep {
  const { spec } = look.backup;
  const leader = leaderOf(cluster)!;
  const target = targetOf(cluster, leader, spec.target ?? cluster.spec.backup!.target);
  const executor: Executor =
    repository.store.kind === 'volume' ? { kind: 'repository' } : { kind: 'instance', name: target.name };
  const status: BackupStatus = {
    phase: 'Running',
    message: `${target.name} is being copied`,
    startedAt: rfc3339(look.now),
    repository: repository.name,
    stanza: stanzaName(cluster.cluster.metadata.name, systemID(cluster)!),
    instance: target.name,
    primary: leader.name,
    executor: executor.kind === 'instance' ? executor.name : 'repository',
  };
  return { do: 'ask', status, executor, request: requestOf(look.backup, status, cluster) };
}

/** What is asked of the pod; the same again asks for nothing new. */
function requestOf(backup: BackupObject, status: BackupStatus, cluster: Facts): BackupRequest {
  const { primary = '', instance, stanza = '', repository = '' } = status;
  return {
    id: backup.metadata.uid,
    stanza,
    repository: numbersOf(cluster).get(repository) ?? 0,
    type: BACKUP_KINDS[backup.spec.type ?? 'incremental'],
    primary,
    ...(instance && instance !== primary ? { standby: instance } : {}),
  };
}

/** Where a running backup runs. */
export function executorOf({ executor = '' }: BackupStatus): Executor {
  return executor === 'repository' ? { kind: 'repository' } : { kind: 'instance', name: executor };
}

function running(look: BackupLook): BackupStep {
  const { backup, cluster, executor = {}, found } = look;
  const status = backup.status!;
  if (!cluster) return fail(look, 'the cluster is gone');
  const { job, boot, silent, busyWith } = executor;
  if (found) return completed(look, found);
  if (job?.phase === 'done' && job.set) return completed(look, job.set, job.damage);
  const leader = leaderOf(cluster);
  const { restoration } = cluster.cluster.status ?? {};
  // Its instances are stopped for that, or have been.
  const restored = restoration?.old?.includes(status.primary ?? '') && restoredBy(cluster.cluster);
  if (restored)
    return fail(
      look,
      `${restored} restores the cluster in place, which ended the backup: make another one`,
      true,
    );
  if (job?.phase === 'failed') return fail(look, whyFailed(status, job, cluster));
  if (leader && leader.name !== status.primary)
    return fail(
      look,
      `${leader.name} became primary in place of ${status.primary} while the backup ran: make another one`,
      true,
    );
  if (silent) {
    const ms = look.now - silent.since;
    if (ms > SILENCE_MS)
      return fail(look, `the pod that ran it has not answered for ${Math.round(ms / 1000)} s: ${silent.why}`);
    return {
      do: 'wait',
      status: { ...status, message: `the pod that runs it is silent: ${silent.why}` },
      afterMs: LOOK_MS,
    };
  }
  if (job) return { do: 'wait', status: progressed(status, job, boot), afterMs: LOOK_MS };
  if (status.process && status.process !== boot)
    return fail(
      look,
      'the process that ran it has ended (its pod was stopped or has crashed): make another one',
    );
  if (busyWith)
    return {
      do: 'wait',
      status: { ...status, message: 'the pod is busy with another backup' },
      afterMs: LOOK_MS,
    };
  // It has not heard of it: the operator was stopped between writing the status and asking.
  return { do: 'ask', status, executor: executorOf(status), request: requestOf(backup, status, cluster) };
}

/** pgBackRest's words, and what became of the primary if that is no more what it was. */
function whyFailed(status: BackupStatus, job: BackupJob, facts: Facts): string {
  const error = job.error ?? 'pgBackRest did not say why';
  const leader = leaderOf(facts);
  const primary = leader?.report?.role === 'primary' ? leader.name : undefined;
  const copied = facts.instances.find(({ name }) => name === status.instance);
  if (primary === status.primary && copied?.report) return error;
  if (primary === status.primary) return `${error}; ${status.instance}, which was copied, does not answer`;
  if (isHibernating(facts.cluster)) return `${error}; the cluster was sent to sleep`;
  const fate = primary ? `${primary} has become primary in its place` : 'it does not serve at the moment';
  return `${error}; the primary was ${status.primary}: ${fate}`;
}

function progressed(
  status: BackupStatus,
  { progress, line }: BackupJob,
  boot: string | undefined,
): BackupStatus {
  return {
    ...status,
    ...(boot ? { process: boot } : {}),
    ...(progress ? { progress } : {}),
    message: `${status.instance} is being copied${line ? `: ${line}` : ''}`,
  };
}

/** The database itself is damaged then: that has to be seen. */
function damageText({ damaged }: BackupSetInfo, damage: string[] | undefined): string {
  if (!damaged) return '';
  const where = damage ? damage.join('; ') : 'the log of the pod that ran it says where';
  return `, but pages of the database are damaged: ${where}`;
}

function completed({ backup, now }: BackupLook, set: BackupSetInfo, damage?: string[]): BackupStep {
  const { progress: _, ...status } = backup.status!;
  const { sizes, wal, lsn, type, label } = set;
  const reference = set.references.at(-1);
  return {
    do: 'end',
    ...(set.damaged ? { damaged: true } : {}),
    status: {
      ...status,
      phase: 'Completed',
      message: `${BACKUP_TYPES[type]} backup ${label} is complete${damageText(set, damage)}`,
      stoppedAt: rfc3339(Math.max(set.stoppedAt, Date.parse(status.startedAt ?? '') || now)),
      label,
      type: BACKUP_TYPES[type],
      ...(reference ? { reference } : {}),
      ...(wal ? { beginWal: wal.start, endWal: wal.stop } : {}),
      ...(lsn ? { beginLSN: lsn.start, endLSN: lsn.stop } : {}),
      databaseSize: sizes.database,
      copiedSize: sizes.copied,
      ...(sizes.repository === undefined ? {} : { repositorySize: sizes.repository }),
      ...(sizes.added === undefined ? {} : { repositoryDelta: sizes.added }),
    },
  };
}

function wait({ backup }: BackupLook, message: string): BackupStep {
  return { do: 'wait', status: { ...backup.status, phase: 'Pending', message }, afterMs: LOOK_MS };
}

function fail({ backup, now }: BackupLook, error: string, cancel = false): BackupStep {
  const { progress: _, ...status } = backup.status ?? {};
  const at = rfc3339(now);
  return {
    do: 'end',
    cancel,
    status: { startedAt: at, ...status, phase: 'Failed', message: 'the backup failed', error, stoppedAt: at },
  };
}
