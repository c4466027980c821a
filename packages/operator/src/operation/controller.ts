/** Carries out Operations: whose turn it is, deadlines, and what is kept of them when they have ended. */
import type { OperationStatus } from '@pgherd/api';
import { isKubeError } from '@pgherd/kube';
import type { ClusterController } from '../cluster/controller.ts';
import type { Facts } from '../cluster/facts.ts';
import { ClusterKind } from '../cluster/kind.ts';
import { MOVING_LOOK_MS } from '../cluster/moving.ts';
import { type Controller, type ControllerOptions, KindController } from '../kind-controller.ts';
import type { Handler, HandlerContext, Look } from './handler.ts';
import { handlers as allHandlers } from './handlers.ts';
import { OperationKind, type OperationObject } from './kind.ts';
import { line } from './line.ts';
import { deadlineSeconds, leftTooLong, notNow } from './may-begin.ts';
import { orphansOf } from './orphans.ts';
import { advanced, currentStep, failed, pending, refused, started } from './progress.ts';

export interface OperationControllerOptions extends ControllerOptions {
  clusters: Pick<
    ClusterController,
    'synced' | 'observe' | 'carryOut' | 'nudge' | 'ask' | 'verified' | 'find' | 'marked'
  >;
  /** For tests. */
  handlers?: Partial<Record<string, Handler>>;
}

/** An Operation that comes in one file with its Cluster may be seen before it. */
const CLUSTER_MS = 10_000;
const RUNNING_MS = 250;
/** What was called off is looked at until nothing of it is left. */
const CALLED_OFF_MS = 1_000;

export function createOperationController(options: OperationControllerOptions): Controller {
  return new Operations(options).controller;
}

class Operations {
  readonly controller: KindController<OperationObject>;
  private readonly options: OperationControllerOptions;
  private readonly handlers: Partial<Record<string, Handler>>;
  private readonly now: () => number;
  private workingSince = Number.NaN;

  constructor(options: OperationControllerOptions) {
    this.options = options;
    this.now = options.now ?? (() => options.client.clock.now());
    this.handlers = options.handlers ?? allHandlers;
    this.controller = new KindController(options, {
      kind: OperationKind,
      name: 'operations',
      concurrency: 8,
      maxBackoffMs: 5_000,
      keyOf,
      seeds: () => options.clusters.marked(),
      reconcile: (key, signal) => this.reconcile(key, signal),
      known: async () => {
        await options.clusters.synced();
        this.workingSince = this.now();
      },
    });
  }

  /** `key` is that of a cluster: its operations are looked at together, so that one goes at a time. */
  private async reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const operations = this.controller.list(namespace, ({ spec }) => spec.cluster === name);
    const called = await this.callOff(namespace, name, operations, signal);
    const left = operations.filter((operation) => this.isLeft(operation));
    await Promise.all(
      left.map((operation) => this.refuse(operation, 'NotTakenUp', this.isLeft(operation)!, signal)),
    );
    const turn = line(
      operations.filter((operation) => !left.includes(operation)),
      this.now(),
      (operation) => this.handlers[operation.spec.type]?.exclusive !== false,
    );
    await Promise.all(turn.expired.map((operation) => this.remove(operation, signal)));
    for (const { operation, behind } of turn.waiting) {
      const why = `waits for ${behind.spec.type} ${behind.metadata.name} to end`;
      await this.write(operation, pending(operation, 'Queued', why), signal);
    }
    const waits = await Promise.all(turn.running.map((operation) => this.work(operation, signal)));
    const soonest = Math.min(
      ...waits,
      called ?? Number.POSITIVE_INFINITY,
      turn.nextExpiryMs ?? Number.POSITIVE_INFINITY,
    );
    return Number.isFinite(soonest) ? { afterMs: soonest } : undefined;
  }

  private isLeft(operation: OperationObject): string | undefined {
    const handler = this.handlers[operation.spec.type];
    return handler && leftTooLong(operation, handler, this.workingSince);
  }

  /** An Operation that was deleted before it took effect takes effect no more. Returns when to look again, if so. */
  private async callOff(
    namespace: string,
    name: string,
    operations: OperationObject[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const cluster = this.options.clusters.find(namespace, name);
    const orphans = cluster && orphansOf(cluster, operations);
    if (!orphans) return undefined;
    const { annotations, message } = orphans;
    if (Object.keys(annotations).length === 0) return CALLED_OFF_MS;
    const { resourceVersion } = cluster.metadata;
    const body = { metadata: { resourceVersion, annotations } };
    try {
      await this.options.client.patch(ClusterKind, { namespace, name }, { type: 'merge', body, signal });
    } catch (error) {
      // One that has changed since is looked at again.
      if (isKubeError(error, 'NotFound')) return undefined;
      throw error;
    }
    if (message) this.controller.event(cluster, 'Normal', 'CalledOff', message);
    return CALLED_OFF_MS;
  }

  /** One look at an operation whose turn it is; returns in how many milliseconds the next is due. */
  private async work(operation: OperationObject, signal: AbortSignal): Promise<number> {
    const handler = this.handlers[operation.spec.type];
    if (!handler)
      return this.refuse(operation, 'NotSupported', `type ${operation.spec.type} is not there yet`, signal);
    const { namespace } = operation.metadata;
    const cluster = await this.options.clusters.observe(namespace, operation.spec.cluster, signal);
    if (!cluster) return this.withoutCluster(operation, handler, signal);
    const begun = operation.status?.phase === 'Running';
    if (begun && cluster.leftAlone) return MOVING_LOOK_MS;
    const why = begun ? undefined : notNow(operation, handler, cluster);
    if (why) return this.refuse(operation, why.reason, why.message, signal);
    const current = begun
      ? operation
      : await this.write(operation, started(operation, handler, this.now()), signal);
    return current ? this.advance(current, handler, cluster, signal) : RUNNING_MS;
  }

  private async advance(
    operation: OperationObject,
    handler: Handler,
    cluster: Facts,
    signal: AbortSignal,
  ): Promise<number> {
    const context = this.context(signal);
    const now = this.now();
    const notes = operation.status?.notes ?? {};
    const late = now > deadline(operation, handler);
    let look: Look;
    try {
      look = await handler.look(context, { now, operation, cluster, notes });
    } catch (error) {
      // What cannot even be looked at must end all the same.
      if (!late) throw error;
      await this.fail(operation, handler, (error as Error).message, signal);
      return RUNNING_MS;
    }
    const { outcome } = look;
    if (late && outcome.next === 'step') {
      const takenBack = (await look.abandon()) || notes.calledOffAt !== undefined;
      const since = Number(notes.calledOffAt ?? now);
      const waitedFor = `${outcome.message}${takenBack ? '; it is called off' : ''}`;
      if (!takenBack || now - since >= handler.calledOffMs)
        await this.fail(operation, handler, waitedFor, signal);
      else {
        const { step } = outcome;
        const told = {
          next: 'step',
          step,
          message: waitedFor,
          notes: { calledOffAt: String(since) },
        } as const;
        await this.write(operation, advanced(operation, told, now), signal);
      }
      return RUNNING_MS;
    }
    if (outcome.next === 'fail' && notes.calledOffAt !== undefined) {
      await look.act();
      await this.fail(operation, handler, outcome.message, signal);
      return RUNNING_MS;
    }
    // The end is said once all is done; anything else before it is begun, so that a successor knows of it.
    if (outcome.next !== 'step') await look.act();
    const written = await this.write(operation, advanced(operation, outcome, this.now()), signal);
    if (!written || outcome.next !== 'step') return RUNNING_MS;
    await look.act();
    return outcome.afterMs ?? RUNNING_MS;
  }

  private context(signal: AbortSignal): HandlerContext {
    const { client, log, clusters } = this.options;
    return {
      client,
      log,
      signal,
      carryOut: (facts, actions) => clusters.carryOut(facts, actions, signal),
      ask: (facts, instance, question) => clusters.ask(facts, instance, question),
    };
  }

  private async fail(
    operation: OperationObject,
    handler: Handler,
    waitedFor: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { status = {} } = operation;
    const seconds = deadlineSeconds(operation, handler);
    const step = currentStep(status)?.name;
    const message = `not done within ${seconds} s${step ? `, at '${step}'` : ''}: ${waitedFor}`;
    await this.write(operation, failed(status, 'DeadlineExceeded', message, this.now()), signal);
  }

  private async withoutCluster(
    operation: OperationObject,
    handler: Handler,
    signal: AbortSignal,
  ): Promise<number> {
    const { cluster } = operation.spec;
    const ageMs = this.now() - Date.parse(operation.metadata.creationTimestamp ?? '');
    const { namespace } = operation.metadata;
    const message = `there is no cluster ${cluster} in namespace ${namespace}`;
    if (operation.status?.phase !== 'Running' && ageMs < CLUSTER_MS) {
      await this.write(operation, pending(operation, 'ClusterNotFound', message), signal);
      return 1_000;
    }
    // What is kept in memory may lag behind; nothing is taken back for that.
    if (await this.options.client.findListed(ClusterKind, { namespace, name: cluster }, { signal }))
      return 1_000;
    if (operation.status?.phase !== 'Running')
      return this.refuse(operation, 'ClusterNotFound', message, signal);
    const more = await handler.withoutCluster?.(this.context(signal), operation);
    const gone = `cluster ${cluster} was deleted meanwhile`;
    return this.refuse(operation, 'ClusterNotFound', more ? `${gone}: ${more}` : gone, signal);
  }

  private async refuse(
    operation: OperationObject,
    reason: string,
    message: string,
    signal: AbortSignal,
  ): Promise<number> {
    const { status } = operation;
    const next =
      status?.phase === 'Running'
        ? failed(status, reason, message, this.now())
        : refused(operation, reason, message, this.now());
    await this.write(operation, next, signal);
    return RUNNING_MS;
  }

  /** Writes a status that differs, and tells of a new phase. Undefined when somebody else changed or deleted the operation meanwhile. */
  private async write(
    operation: OperationObject,
    status: OperationStatus,
    signal: AbortSignal,
  ): Promise<OperationObject | undefined> {
    const written = await this.controller.writeStatus(operation, status, signal);
    if (written) this.announce(operation, written);
    return written;
  }

  private announce(before: OperationObject, { spec, status, metadata }: OperationObject): void {
    const { phase, message = '' } = status ?? {};
    if (!phase || phase === before.status?.phase) return;
    const key = `${metadata.namespace}/${metadata.name}`;
    this.options.log.info({ operation: key, type: spec.type, phase, message }, 'operation');
    const type = phase === 'Failed' ? 'Warning' : 'Normal';
    this.controller.event(before, type, phase, message);
    if (spec.type === 'VerifyBackup' && (phase === 'Succeeded' || phase === 'Failed'))
      this.options.clusters.verified(metadata.namespace, spec.cluster, {
        good: phase === 'Succeeded',
        reason: phase === 'Succeeded' ? 'BackupGood' : (status?.reason ?? 'Failed'),
        message,
      });
    this.options.clusters.nudge(metadata.namespace, spec.cluster);
  }

  private async remove(operation: OperationObject, signal: AbortSignal): Promise<void> {
    const { metadata } = operation;
    try {
      await this.options.client.delete(OperationKind, metadata, {
        preconditions: { uid: metadata.uid },
        signal,
      });
    } catch (error) {
      if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}

function deadline(operation: OperationObject, handler: Handler): number {
  return Date.parse(operation.status?.startedAt ?? '') + deadlineSeconds(operation, handler) * 1000;
}

function keyOf({ metadata, spec }: OperationObject): string {
  return `${metadata.namespace}/${spec.cluster}`;
}
