/** Carries out Backups, one at a time for each cluster. */
import { ANNOTATION_REQUEST, type BackupSetInfo, isBackupOver } from '@pgherd/api';
import type { ClusterController } from '../cluster/controller.ts';
import type { Facts } from '../cluster/facts.ts';
import { type Controller, type ControllerOptions, KindController } from '../kind-controller.ts';
import { ExecutorClient } from './executor-client.ts';
import { BackupKind, type BackupObject } from './kind.ts';
import { type BackupStep, type ExecutorFacts, executorOf, LOOK_MS, planBackup } from './plan.ts';

export interface BackupControllerOptions extends ControllerOptions {
  clusters: Pick<ClusterController, 'synced' | 'observe' | 'backupsChanged' | 'backupsOpen'>;
}

export function createBackupController(options: BackupControllerOptions): Controller {
  return new Backups(options).controller;
}

class Backups {
  readonly controller: KindController<BackupObject>;
  private readonly options: BackupControllerOptions;
  private readonly executors: ExecutorClient;
  private readonly now: () => number;
  /** Since when the pod of a running backup has been silent, by the backup's UID. */
  private readonly silentSince = new Map<string, number>();
  /** Since when it has been the turn of a backup that has not begun, by its UID. */
  private readonly turnSince = new Map<string, number>();

  constructor(options: BackupControllerOptions) {
    this.options = options;
    this.now = options.now ?? (() => options.client.clock.now());
    this.executors = new ExecutorClient(this.now);
    this.controller = new KindController(options, {
      kind: BackupKind,
      name: 'backups',
      concurrency: 8,
      maxBackoffMs: 5_000,
      keyOf,
      reconcile: (key, signal) => this.reconcile(key, signal),
      known: () => options.clusters.synced(),
    });
  }

  /** `key` is that of a cluster: its backups are looked at together, so that one goes at a time. */
  private async reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const open = this.controller
      .list(namespace, (backup) => backup.spec.cluster.name === name && !isBackupOver(backup))
      .sort(inLine);
    const names = open.map(({ metadata }) => metadata.name);
    this.options.clusters.backupsOpen(namespace, name, names);
    if (open.length === 0) return undefined;
    const cluster = await this.options.clusters.observe(namespace, name, signal);
    const waits: number[] = [];
    for (const [index, backup] of open.entries()) {
      const ahead = index > 0 ? open[0]!.metadata.name : undefined;
      waits.push(await this.work(backup, cluster, ahead, signal));
    }
    return { afterMs: Math.min(...waits) };
  }

  /** One step of a backup; returns in how many milliseconds the next is due. */
  private async work(
    backup: BackupObject,
    cluster: Facts | undefined,
    ahead: string | undefined,
    signal: AbortSignal,
  ): Promise<number> {
    const began = performance.now();
    const running = backup.status?.phase === 'Running';
    const executor = running && cluster ? await this.ask(backup, cluster) : undefined;
    const found = executor && cluster ? await this.find(backup, cluster, executor) : undefined;
    const turnSince = running || ahead ? undefined : this.turnOf(backup);
    const step = planBackup({
      now: this.now(),
      backup,
      cluster,
      ...(ahead ? { behind: ahead } : {}),
      ...(turnSince === undefined ? {} : { turnSince }),
      ...(executor ? { executor } : {}),
      ...(found ? { found } : {}),
    });
    if (step.do !== 'wait') this.turnSince.delete(backup.metadata.uid);
    const written = await this.controller.writeStatus(backup, step.status, signal);
    // What the pod held its answer back is part of the time until the next look.
    const rest = (afterMs: number) => Math.max(SOON_MS, afterMs - (performance.now() - began));
    if (!written || !cluster) return step.do === 'wait' ? rest(step.afterMs) : AGAIN_MS;
    if (step.do === 'ask') await this.begin(written, cluster, step, signal);
    if (step.do === 'end') await this.end(written, cluster, step);
    return step.do === 'wait' ? rest(step.afterMs) : AGAIN_MS;
  }

  private turnOf({ metadata: { uid } }: BackupObject): number {
    const since = this.turnSince.get(uid) ?? this.now();
    this.turnSince.set(uid, since);
    return since;
  }

  private async ask(backup: BackupObject, cluster: Facts): Promise<ExecutorFacts> {
    const { uid } = backup.metadata;
    try {
      const place = executorOf(backup.status!);
      const { boot, job, running } = await this.executors.job(cluster, place, uid, LOOK_MS);
      this.silentSince.delete(uid);
      return {
        boot,
        ...(job ? { job } : {}),
        ...(running && running.id !== uid ? { busyWith: running.id } : {}),
      };
    } catch (error) {
      const since = this.silentSince.get(uid) ?? this.now();
      this.silentSince.set(uid, since);
      return { silent: { why: (error as Error).message, since } };
    }
  }

  /** A backup whose process is gone may have been completed all the same: the repository knows. */
  private async find(
    backup: BackupObject,
    cluster: Facts,
    { job, boot, silent }: ExecutorFacts,
  ): Promise<BackupSetInfo | undefined> {
    const { process, stanza = '' } = backup.status!;
    if (job || silent || !process || process === boot) return undefined;
    const info = await this.executors
      .info(cluster, executorOf(backup.status!), stanza)
      .catch(() => undefined);
    return info?.backups.find(({ annotations }) => annotations[ANNOTATION_REQUEST] === backup.metadata.uid);
  }

  private async begin(
    backup: BackupObject,
    cluster: Facts,
    { executor, request }: Extract<BackupStep, { do: 'ask' }>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const { boot, job } = await this.executors.start(cluster, executor, request);
      if (job) await this.controller.writeStatus(backup, { ...backup.status, process: boot }, signal);
    } catch (error) {
      // The next look asks again, and ends it when that goes on for too long.
      this.options.log.warn(
        { backup: backup.metadata.name, error: (error as Error).message },
        'asking for a backup',
      );
    }
  }

  private async end(
    backup: BackupObject,
    cluster: Facts,
    { status, cancel, damaged }: Extract<BackupStep, { do: 'end' }>,
  ): Promise<void> {
    const { namespace, name, uid } = backup.metadata;
    if (cancel) await this.executors.cancel(cluster, executorOf(status), uid).catch(() => undefined);
    this.silentSince.delete(uid);
    const failed = status.phase === 'Failed';
    this.options.log.info(
      { backup: `${namespace}/${name}`, label: status.label, error: status.error },
      'backup',
    );
    this.controller.event(
      backup,
      failed || damaged ? 'Warning' : 'Normal',
      failed ? 'BackupFailed' : damaged ? 'DamagedPages' : 'BackupCompleted',
      (failed ? status.error : status.message) ?? '',
    );
    this.options.clusters.backupsChanged(
      namespace,
      backup.spec.cluster.name,
      failed ? status.stoppedAt : undefined,
    );
  }
}

const AGAIN_MS = 100;
const SOON_MS = 10;

function keyOf(backup: BackupObject): string {
  return `${backup.metadata.namespace}/${backup.spec.cluster.name}`;
}

/** The one that runs first, then by age. */
function inLine(a: BackupObject, b: BackupObject): number {
  const rank = (backup: BackupObject) => (backup.status?.phase === 'Running' ? 0 : 1);
  const age = (backup: BackupObject) => Date.parse(backup.metadata.creationTimestamp ?? '') || 0;
  return rank(a) - rank(b) || age(a) - age(b) || (a.metadata.name < b.metadata.name ? -1 : 1);
}
