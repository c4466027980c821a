/** Makes the Backups of ScheduledBackups when they are due. */
import {
  API_VERSION,
  BACKUP_KIND,
  isBackupOver,
  isHibernating,
  LABEL_CLUSTER,
  LABEL_SCHEDULE,
  OPERATION_KIND,
  SCHEDULED_BACKUP_KIND,
  type ScheduledBackupStatus,
} from '@pgherd/api';
import { isKubeError, type OwnerReference } from '@pgherd/kube';
import type { ClusterController } from '../cluster/controller.ts';
import { numbersOf } from '../cluster/plan-repository.ts';
import { ownerReference } from '../cluster/specs/metadata.ts';
import { type Controller, type ControllerOptions, KindController } from '../kind-controller.ts';
import { OperationKind, type OperationObject } from '../operation/kind.ts';
import { forgettable, KEPT_BACKUPS } from './history.ts';
import { BackupKind, type BackupObject, ScheduledBackupKind, type ScheduledBackupObject } from './kind.ts';
import { planSchedule, scheduledName } from './schedule.ts';
import {
  isVerified,
  planVerification,
  type VerificationStep,
  verificationOf,
  verifyOperation,
} from './verification.ts';

export interface ScheduleControllerOptions extends ControllerOptions {
  clusters: Pick<ClusterController, 'synced' | 'find' | 'observe'>;
}

export function createScheduleController(options: ScheduleControllerOptions): Controller {
  return new Schedules(options).controller;
}

class Schedules {
  readonly controller: KindController<ScheduledBackupObject>;
  private readonly options: ScheduleControllerOptions;
  private readonly now: () => number;

  constructor(options: ScheduleControllerOptions) {
    this.options = options;
    this.now = options.now ?? (() => options.client.clock.now());
    this.controller = new KindController(options, {
      kind: ScheduledBackupKind,
      name: 'schedules',
      concurrency: 4,
      maxBackoffMs: 30_000,
      keyOf,
      reconcile: (key, signal) => this.reconcile(key, signal),
      known: () => options.clusters.synced(),
    });
  }

  private async reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const schedule = this.controller.get(namespace, name);
    if (!schedule || schedule.metadata.deletionTimestamp) return undefined;
    const step = planSchedule({
      now: this.now(),
      created: Date.parse(schedule.metadata.creationTimestamp ?? ''),
      spec: schedule.spec,
      status: schedule.status,
      busy: await this.isBusy(schedule, signal),
      name,
      ...this.obstacle(schedule),
    });
    let { status } = step;
    // The object first: its name says for which time it is, so that a second try finds it there.
    if (step.make !== undefined) status = { ...status, ...(await this.make(schedule, step.make, signal)) };
    if (step.make !== undefined) await this.forget(schedule, signal);
    const proven = await this.verify(schedule, status, signal);
    await this.controller.writeStatus(schedule, proven, signal);
    const afterMs = isUnderWay(proven) ? Math.min(step.afterMs ?? VERIFY_MS, VERIFY_MS) : step.afterMs;
    return afterMs === undefined ? undefined : { afterMs };
  }

  /** One step of proving the last backup; returns the status with what came of it. */
  private async verify(
    schedule: ScheduledBackupObject,
    status: ScheduledBackupStatus,
    signal: AbortSignal,
  ): Promise<ScheduledBackupStatus> {
    const { client } = this.options;
    const { namespace } = schedule.metadata;
    const wanted = schedule.spec.verify === true;
    const current = verificationOf(status, wanted);
    if (!current) return status;
    const [backup, operation] = await Promise.all([
      client.findListed(BackupKind, { namespace, name: current.backup }, { signal }),
      client.findListed(OperationKind, { namespace, name: verifyOperation(current.backup) }, { signal }),
    ]);
    const step = planVerification({ now: this.now(), wanted, status, backup, operation });
    if (step.make) await this.makeVerification(schedule, step, signal);
    const { verification } = step;
    if (step.ended && verification) {
      const good = verification.phase === 'Succeeded';
      const [type, reason] = good
        ? (['Normal', 'BackupVerified'] as const)
        : (['Warning', 'BackupNotVerified'] as const);
      this.controller.event(schedule, type, reason, `${verification.backup}: ${verification.message ?? ''}`);
    }
    return verification ? { ...status, lastVerification: verification } : status;
  }

  private async makeVerification(
    { metadata, spec }: ScheduledBackupObject,
    { verification, make }: VerificationStep,
    signal: AbortSignal,
  ): Promise<void> {
    const { label, repository } = make!;
    const operation = {
      apiVersion: API_VERSION,
      kind: OPERATION_KIND,
      metadata: {
        name: verification!.operation!,
        namespace: metadata.namespace,
        labels: { [LABEL_CLUSTER]: spec.cluster.name, [LABEL_SCHEDULE]: metadata.name.slice(0, 63) },
      },
      spec: {
        cluster: spec.cluster.name,
        type: 'VerifyBackup',
        verifyBackup: { backup: label, ...(repository ? { repository } : {}) },
      },
    } as unknown as OperationObject;
    try {
      await this.options.client.create(OperationKind, operation, { signal });
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
    }
  }

  private async isBusy(schedule: ScheduledBackupObject, signal: AbortSignal): Promise<boolean> {
    const { lastBackup } = schedule.status ?? {};
    if (!lastBackup) return false;
    const { namespace } = schedule.metadata;
    const backup = await this.options.client.findListed(
      BackupKind,
      { namespace, name: lastBackup },
      { signal },
    );
    return backup !== undefined && !isBackupOver(backup);
  }

  private async make(
    schedule: ScheduledBackupObject,
    due: number,
    signal: AbortSignal,
  ): Promise<Partial<ScheduledBackupStatus>> {
    const { client, log } = this.options;
    const { namespace } = schedule.metadata;
    const { cluster, type, repository, target } = schedule.spec;
    const owner = this.owner(schedule);
    const name = scheduledName(schedule.metadata.name, due);
    const backup = {
      apiVersion: API_VERSION,
      kind: BACKUP_KIND,
      metadata: {
        name,
        namespace,
        labels: { [LABEL_CLUSTER]: cluster.name, [LABEL_SCHEDULE]: schedule.metadata.name.slice(0, 63) },
        ...(owner ? { ownerReferences: [owner] } : {}),
      },
      spec: {
        cluster,
        ...(type ? { type } : {}),
        ...(repository ? { repository } : {}),
        ...(target ? { target } : {}),
      },
    } as unknown as BackupObject;
    try {
      await client.create(BackupKind, backup, { signal });
      log.info({ schedule: keyOf(schedule), backup: name }, 'a backup is due');
      this.controller.event(schedule, 'Normal', 'BackupDue', `made Backup ${name}`);
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
    }
    return { lastBackup: name };
  }

  /** Backups of which nothing is of use any more go when a new one is made. */
  private async forget({ metadata, spec }: ScheduledBackupObject, signal: AbortSignal): Promise<void> {
    const { client, clusters } = this.options;
    const { namespace, name } = metadata;
    const labelSelector = `${LABEL_SCHEDULE}=${name.slice(0, 63)}`;
    const { items } = await client.list(BackupKind, { namespace, labelSelector, signal });
    const made = items.filter(
      (backup) =>
        backup.spec.cluster.name === spec.cluster.name && backup.metadata.name.startsWith(`${name}-`),
    );
    if (made.length <= KEPT_BACKUPS) return;
    const facts = await clusters.observe(namespace, spec.cluster.name, signal);
    const info = facts?.backup?.isStale ? undefined : facts?.backup?.info;
    for (const backup of forgettable(made, info, facts ? numbersOf(facts) : new Map())) {
      const preconditions = { uid: backup.metadata.uid };
      await client.delete(BackupKind, backup.metadata, { preconditions, signal }).catch((error) => {
        if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
      });
    }
  }

  /** Why there is nothing to back up. */
  private obstacle({ metadata, spec }: ScheduledBackupObject): { obstacle?: string } {
    const { name } = spec.cluster;
    const cluster = this.options.clusters.find(metadata.namespace, name);
    if (!cluster || cluster.metadata.deletionTimestamp)
      return { obstacle: `there is no cluster ${name}: nothing is backed up` };
    return isHibernating(cluster) ? { obstacle: `cluster ${name} hibernates: nothing is backed up` } : {};
  }

  /** With what the backups are deleted. */
  private owner({ metadata, spec }: ScheduledBackupObject): OwnerReference | undefined {
    const { namespace, name, uid } = metadata;
    const cluster = this.options.clusters.find(namespace, spec.cluster.name);
    if (spec.backupOwnerReference === 'self')
      return { apiVersion: API_VERSION, kind: SCHEDULED_BACKUP_KIND, name, uid, controller: true };
    // No controller of theirs: what belongs to a cluster's own controller is another matter.
    if (spec.backupOwnerReference === 'cluster' && cluster)
      return { ...ownerReference(cluster), controller: false, blockOwnerDeletion: false };
    return undefined;
  }
}

/** While a backup is made or looked at that is to be proven, so often. */
const VERIFY_MS = 3_000;

function isUnderWay({ lastVerification }: ScheduledBackupStatus): boolean {
  return lastVerification !== undefined && !isVerified(lastVerification);
}

function keyOf({ metadata }: ScheduledBackupObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
