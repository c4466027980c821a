/** Makes the Backups of ScheduledBackups when they are due. */
import { isDeepStrictEqual } from 'node:util';
import {
  API_VERSION,
  BACKUP_KIND,
  isBackupOver,
  LABEL_CLUSTER,
  LABEL_SCHEDULE,
  SCHEDULED_BACKUP_KIND,
  type ScheduledBackupStatus,
} from '@pgherd/api';
import {
  type Cache,
  type Client,
  createCache,
  createEventRecorder,
  createQueue,
  type EventRecorder,
  isKubeError,
  type Log,
  type OwnerReference,
  type Queue,
} from '@pgherd/kube';
import type { ClusterController } from '../cluster/controller.ts';
import { ownerReference } from '../cluster/specs/metadata.ts';
import { BackupKind, type BackupObject, ScheduledBackupKind, type ScheduledBackupObject } from './kind.ts';
import { planSchedule, scheduledName } from './schedule.ts';

export interface ScheduleControllerOptions {
  client: Client;
  /** Undefined: all namespaces. */
  namespaces: string[] | undefined;
  clusters: Pick<ClusterController, 'find'>;
  log: Log;
  instance?: string;
  now?: () => number;
}

export interface ScheduleController {
  start(signal: AbortSignal): void;
  synced(): Promise<void>;
  /** Works until `signal`; resolves when the last look has ended. */
  run(signal: AbortSignal): Promise<void>;
}

export function createScheduleController(options: ScheduleControllerOptions): ScheduleController {
  return new Controller(options);
}

class Controller implements ScheduleController {
  private readonly options: ScheduleControllerOptions;
  private readonly caches: Cache<ScheduledBackupObject>[];
  private readonly event: EventRecorder;
  private readonly now: () => number;
  private queue: Queue | undefined;

  constructor(options: ScheduleControllerOptions) {
    const { client, log, namespaces = [undefined], instance } = options;
    this.options = options;
    this.now = options.now ?? Date.now;
    this.caches = namespaces.map((namespace) =>
      createCache(client, ScheduledBackupKind, { log, ...(namespace ? { namespace } : {}) }),
    );
    this.event = createEventRecorder(client, 'pgherd-operator', { log, ...(instance ? { instance } : {}) });
  }

  start(signal: AbortSignal): void {
    for (const cache of this.caches) {
      cache.onChange((schedule) => schedule && this.queue?.add(keyOf(schedule)));
      cache.start(signal);
    }
  }

  async synced(): Promise<void> {
    await Promise.all(this.caches.map((cache) => cache.synced()));
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.synced();
    const queue = createQueue({
      name: 'schedules',
      concurrency: 4,
      maxBackoffMs: 30_000,
      log: this.options.log,
      reconcile: (key, until) => this.reconcile(key, until),
    });
    this.queue = queue;
    for (const cache of this.caches) for (const schedule of cache.list()) queue.add(keyOf(schedule));
    queue.start(signal);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.queue = undefined;
    await queue.idle();
    await this.event.flush();
  }

  private async reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const schedule = this.caches.map((cache) => cache.get(namespace, name)).find((one) => one);
    if (!schedule || schedule.metadata.deletionTimestamp) return undefined;
    const step = planSchedule({
      now: this.now(),
      created: Date.parse(schedule.metadata.creationTimestamp ?? ''),
      spec: schedule.spec,
      status: schedule.status,
      busy: await this.isBusy(schedule, signal),
    });
    let { status } = step;
    // The object first: its name says for which time it is, so that a second try finds it there.
    if (step.make !== undefined) status = { ...status, ...(await this.make(schedule, step.make, signal)) };
    await this.write(schedule, status, signal);
    return step.afterMs === undefined ? undefined : { afterMs: step.afterMs };
  }

  private async isBusy(schedule: ScheduledBackupObject, signal: AbortSignal): Promise<boolean> {
    const { lastBackup } = schedule.status ?? {};
    if (!lastBackup) return false;
    const { namespace } = schedule.metadata;
    const backup = await this.options.client.find(BackupKind, { namespace, name: lastBackup }, { signal });
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
    if (owner === 'missing') return { message: `there is no cluster ${cluster.name}: nothing was backed up` };
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
      this.event(schedule, 'Normal', 'BackupDue', `made Backup ${name}`);
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists')) throw error;
    }
    return { lastBackup: name };
  }

  /** With what the backups are deleted; `missing` when there is no such cluster. */
  private owner({ metadata, spec }: ScheduledBackupObject): OwnerReference | undefined | 'missing' {
    const { namespace, name, uid } = metadata;
    const cluster = this.options.clusters.find(namespace, spec.cluster.name);
    if (!cluster) return 'missing';
    if (spec.backupOwnerReference === 'self')
      return { apiVersion: API_VERSION, kind: SCHEDULED_BACKUP_KIND, name, uid, controller: true };
    // No controller of theirs: what belongs to a cluster's own controller is another matter.
    if (spec.backupOwnerReference === 'cluster')
      return { ...ownerReference(cluster), controller: false, blockOwnerDeletion: false };
    return undefined;
  }

  private async write(
    schedule: ScheduledBackupObject,
    status: ScheduledBackupStatus,
    signal: AbortSignal,
  ): Promise<void> {
    if (isDeepStrictEqual(status, schedule.status ?? {})) return;
    try {
      const written = await this.options.client.updateStatus(
        ScheduledBackupKind,
        { ...schedule, status },
        { signal },
      );
      for (const cache of this.caches) cache.absorb(written);
    } catch (error) {
      if (!isKubeError(error, 'NotFound')) throw error;
    }
  }
}

function keyOf({ metadata }: ScheduledBackupObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}
