/** Keeps the clusters of the watched namespaces as they should be: when to look, and what a look consists of. */
import { isDeepStrictEqual } from 'node:util';
import { LABEL_CLUSTER, MANAGER_PORT, names, promoteMark, restoreMark, switchoverMark } from '@pgherd/api';
import {
  type Client,
  createEventRecorder,
  createQueue,
  type EventRecorder,
  isKubeError,
  isNamespaceTerminating,
  type KubeObject,
  type Log,
  type Queue,
} from '@pgherd/kube';
import { OperatorError } from '../errors.ts';
import type { OperatorMetrics } from '../metrics.ts';
import { runQueue } from '../run-queue.ts';
import { act, failureTexts } from './act.ts';
import type { Action } from './actions.ts';
import { type BackupInfos, createBackupInfos } from './backup-infos.ts';
import { absorb, type ClusterCaches, createClusterCaches, eachCache } from './caches.ts';
import { type CallAnswer, type Connections, call, createConnections } from './connections.ts';
import { type Facts, type InstanceFacts, isTerminating } from './facts.ts';
import { sayFarewell } from './farewell.ts';
import { ClusterKind, type ClusterObject } from './kind.ts';
import { createLeaseLook } from './lease-look.ts';
import { createMemory, type Verified } from './memory.ts';
import { isLeftAlone, MOVING_LOOK_MS, movingAt } from './moving.ts';
import { nextLookMs } from './next-look.ts';
import { type Nodes, noNodes, watchNodes } from './nodes.ts';
import { observe } from './observe.ts';
import { plan } from './plan.ts';
import { authorityOf } from './plan-certificates.ts';
import { release as releaseAction } from './plan-farewell.ts';
import { createReports, type Reports } from './reports.ts';
import { decoded } from './specs/secrets.ts';
import { archiveEvent } from './status/archive.ts';
import { deriveStatus } from './status/derive.ts';
import { isTrouble } from './status/phase.ts';

export interface ControllerOptions {
  client: Client;
  /** Undefined: all namespaces. */
  namespaces: string[] | undefined;
  /** Image that holds /pgherd. */
  operatorImage: string;
  /** The domain of the cluster's services, where it is not cluster.local. */
  clusterDomain?: string;
  log: Log;
  metrics?: OperatorMetrics;
  /** Which one of several operators, for events. */
  instance?: string;
  now?: () => number;
  /** For tests: how instances are asked. */
  reports?: Reports;
  infos?: BackupInfos;
  concurrency?: number;
}

/** What an instance's manager is asked; with a body, by POST. */
export interface Question {
  path: string;
  body?: unknown;
  timeoutMs: number;
}

export interface ClusterController {
  /** Starts the caches; they stay warm whether we lead or not. */
  start(signal: AbortSignal): void;
  synced(): Promise<void>;
  /** Reconciles until `signal`; resolves when the last look has ended. */
  run(signal: AbortSignal): Promise<void>;
  /** What is known of a cluster now; undefined when there is none of the name. For the controllers of other kinds. */
  observe(namespace: string, name: string, signal: AbortSignal): Promise<Facts | undefined>;
  /** Carries out actions on a cluster's objects; throws the first failure after all were tried. */
  carryOut(facts: Facts, actions: Action[], signal: AbortSignal): Promise<void>;
  /** Asks the manager of one of its instances. */
  ask(facts: Facts, instance: InstanceFacts, question: Question): Promise<CallAnswer>;
  /** A cluster as last seen; undefined when there is none of the name. */
  find(namespace: string, name: string): ClusterObject | undefined;
  /** The clusters (`namespace/name`) that bear a wish to move leadership. Resolves when all clusters are known. */
  marked(): Promise<string[]>;
  /** Has a cluster looked at soon. */
  nudge(namespace: string, name: string): void;
  /** One of its backups was looked at, by an Operation. */
  verified(namespace: string, name: string, found: Verified): void;
  /** A backup of a cluster has ended; `failedAt` (RFC 3339) when it failed. */
  backupsChanged(namespace: string, name: string, failedAt?: string): void;
  /** Names of the Backups of a cluster that have not ended. */
  backupsOpen(namespace: string, name: string, open: readonly string[]): void;
}

/** Several changes of one moment are one look. */
const GATHER_MS = 15;
/** When to look again at a cluster whose namespace is being deleted, in milliseconds. */
const GOING_MS = 5_000;

export function createClusterController(options: ControllerOptions): ClusterController {
  return new Controller(options);
}

class Controller implements ClusterController {
  private readonly options: ControllerOptions;
  private readonly sets: ClusterCaches[];
  private readonly nodes: Nodes;
  private readonly memory = createMemory();
  private readonly reports: Reports;
  private readonly connections: Connections;
  private readonly infos: BackupInfos;
  private readonly event: EventRecorder;
  private readonly now: () => number;
  private queue: Queue | undefined;

  constructor(options: ControllerOptions) {
    this.options = options;
    this.now = options.now ?? (() => options.client.clock.now());
    const { client, log, namespaces = [undefined] } = options;
    this.sets = namespaces.map((namespace) => createClusterCaches(client, namespace, log));
    // The right to look at nodes is one for the whole of Kubernetes.
    this.nodes = options.namespaces ? noNodes : watchNodes(client, log, (node) => this.nodeChanged(node));
    this.connections = createConnections(this.now);
    this.reports = options.reports ?? createReports({ log, onNews: (key) => this.soon(key), now: this.now });
    this.infos = options.infos ?? createBackupInfos({ log, onNews: (key) => this.soon(key), now: this.now });
    this.event = createEventRecorder(client, 'pgherd-operator', {
      log,
      ...(options.instance ? { instance: options.instance } : {}),
    });
  }

  start(signal: AbortSignal): void {
    this.nodes.start(signal);
    for (const caches of this.sets) {
      caches.clusters.onChange((cluster, old) => this.clusterChanged(cluster, old));
      for (const cache of eachCache(caches)) {
        if (cache !== (caches.clusters as unknown))
          cache.onChange((object, old) => this.childChanged(object ?? old));
        cache.start(signal);
      }
    }
  }

  async synced(): Promise<void> {
    const caches = this.sets.flatMap(eachCache);
    await Promise.all([this.nodes.synced(), ...caches.map((cache) => cache.synced())]);
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.synced();
    const { client, log, metrics, namespaces = [undefined], concurrency = 8 } = this.options;
    const queue = createQueue({
      name: 'clusters',
      concurrency,
      maxBackoffMs: 30_000,
      log,
      reconcile: (key, until) => this.timed(key, until),
      onError: () => metrics?.failed(),
    });
    this.queue = queue;
    for (const { clusters } of this.sets) for (const cluster of clusters.list()) queue.add(keyOf(cluster));
    const leases = createLeaseLook({
      client,
      sets: this.sets,
      namespaces,
      log,
      onChange: (key) => queue.add(key),
    });
    leases.start(signal);
    await runQueue(queue, this.event, signal);
    this.queue = undefined;
  }

  async observe(namespace: string, name: string, signal: AbortSignal): Promise<Facts | undefined> {
    const caches = this.sets.find(({ clusters }) => clusters.get(namespace, name));
    const cluster = caches?.clusters.get(namespace, name);
    return caches && cluster && this.factsOf(caches, cluster, signal);
  }

  async carryOut(facts: Facts, actions: Action[], signal: AbortSignal): Promise<void> {
    const { namespace, name, uid } = facts.cluster.metadata;
    const caches = this.sets.find(({ clusters }) => clusters.get(namespace, name));
    if (!caches) return;
    const { client, log } = this.options;
    const memory = this.memory.of(`${namespace}/${name}`, uid);
    const plan = { actions, intent: { what: 'steady' } as const };
    const failures = await act({ client, caches, memory, log, signal }, facts, plan);
    this.nudge(namespace, name);
    if (failures.length > 0) throw failures[0]!.error;
  }

  async ask(facts: Facts, { name: instance, pod }: InstanceFacts, question: Question): Promise<CallAnswer> {
    const { name, namespace } = facts.cluster.metadata;
    const own = names(name);
    const authority = authorityOf(facts.secrets.get(own.ca));
    const address = pod?.status?.podIP;
    if (!authority || !address)
      throw new OperatorError('report', `${instance} is not reached: its pod does not run`);
    const agent = await this.connections.agent({
      cluster: `${namespace}/${name}`,
      serverName: own.rw,
      authority,
      trusted: decoded(facts.secrets.get(own.server), 'ca.crt') ?? authority.cert,
    });
    const method = question.body === undefined ? 'GET' : 'POST';
    return call({ agent, address, port: MANAGER_PORT, method, ...question });
  }

  async marked(): Promise<string[]> {
    await this.synced();
    const all = this.sets.flatMap(({ clusters }) => clusters.list());
    const isMarked = (one: ClusterObject) => switchoverMark(one) ?? promoteMark(one) ?? restoreMark(one);
    return all.filter(isMarked).map(keyOf);
  }

  find(namespace: string, name: string): ClusterObject | undefined {
    return this.sets.map(({ clusters }) => clusters.get(namespace, name)).find((one) => one);
  }

  nudge(namespace: string, name: string): void {
    this.soon(`${namespace}/${name}`);
  }

  backupsChanged(namespace: string, name: string, failedAt?: string): void {
    if (failedAt) this.infos.failed(`${namespace}/${name}`, failedAt);
    this.infos.changed(`${namespace}/${name}`);
    this.nudge(namespace, name);
  }

  backupsOpen(namespace: string, name: string, open: readonly string[]): void {
    this.infos.setOpen(`${namespace}/${name}`, open);
  }

  verified(namespace: string, name: string, found: Verified): void {
    const cluster = this.find(namespace, name);
    if (!cluster) return;
    this.memory.of(keyOf(cluster), cluster.metadata.uid).verified = found;
    const [type, reason] = found.good
      ? (['Normal', 'BackupVerified'] as const)
      : (['Warning', found.reason] as const);
    this.event(cluster, type, reason, found.message);
    this.options.metrics?.verified(keyOf(cluster), found.good);
    this.nudge(namespace, name);
  }

  private async factsOf(caches: ClusterCaches, cluster: ClusterObject, signal: AbortSignal): Promise<Facts> {
    const { client, operatorImage, clusterDomain } = this.options;
    const { reports, infos, nodes, now } = this;
    const memory = this.memory.of(keyOf(cluster), cluster.metadata.uid);
    const domain = clusterDomain ? { clusterDomain } : {};
    const context = { client, caches, reports, infos, nodes, operatorImage, ...domain, now, signal };
    const facts = await observe(context, cluster, memory);
    memory.moving = movingAt(performance.now(), facts, memory.moving);
    return { ...facts, leftAlone: isLeftAlone(memory.moving, performance.now()) };
  }

  private nodeChanged(node: string): void {
    const pods = this.sets.flatMap(({ pods: cache }) =>
      cache.list({ where: ({ spec }) => spec.nodeName === node }),
    );
    for (const pod of pods) this.childChanged(pod);
  }

  private soon(key: string): void {
    const moving = this.memory.peek(key)?.moving;
    this.queue?.addAfter(key, isLeftAlone(moving, performance.now()) ? MOVING_LOOK_MS : GATHER_MS);
  }

  private clusterChanged(cluster: ClusterObject | undefined, old: ClusterObject | undefined): void {
    if (!cluster) {
      if (!old) return;
      this.memory.forget(keyOf(old));
      this.reports.forget(keyOf(old));
      this.connections.forget(keyOf(old));
      this.infos.forget(keyOf(old));
      this.options.metrics?.gone(keyOf(old));
      return;
    }
    // Our own status comes back to us: nothing that calls for another look.
    if (old && !isDeepStrictEqual(withoutStatus(cluster), withoutStatus(old)))
      this.queue?.add(keyOf(cluster));
    if (!old) this.queue?.add(keyOf(cluster));
  }

  private childChanged(object: KubeObject | undefined): void {
    const { namespace, labels } = object?.metadata ?? {};
    const cluster = labels?.[LABEL_CLUSTER];
    if (namespace && cluster) this.soon(`${namespace}/${cluster}`);
  }

  private async timed(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const began = performance.now();
    try {
      return await this.reconcile(key, signal);
    } finally {
      this.options.metrics?.reconciled((performance.now() - began) / 1000);
    }
  }

  private async reconcile(key: string, signal: AbortSignal): Promise<{ afterMs?: number } | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const caches = this.sets.find(({ clusters }) => clusters.get(namespace, name));
    const cluster = caches?.clusters.get(namespace, name);
    if (!caches || !cluster) return undefined;
    const { client, log } = this.options;
    const memory = this.memory.of(key, cluster.metadata.uid);
    // The Cluster goes too, in its turn: then what is to be done for it is done.
    if (memory.namespaceGoes && !isTerminating(cluster)) return { afterMs: GOING_MS };
    const facts = await this.factsOf(caches, cluster, signal);
    if (facts.leftAlone) return { afterMs: MOVING_LOOK_MS };
    const planned = plan(facts);
    const failures = await act({ client, caches, memory, log, signal }, facts, planned);
    if (signal.aborted) return undefined;
    if (failures.some(({ error }) => isNamespaceTerminating(error))) {
      if (!memory.namespaceGoes)
        log.info({ cluster: key }, 'its namespace is being deleted: nothing is made there any more');
      memory.namespaceGoes = true;
      return { afterMs: GOING_MS };
    }
    for (const text of failureTexts(failures)) log.warn({ cluster: key }, text);
    const status = deriveStatus({
      facts,
      plan: planned,
      failures: failureTexts(failures),
    });
    const written = await this.writeStatus(caches, cluster, status, signal);
    this.options.metrics?.phase(key, status.phase);
    if (!written) return { afterMs: GATHER_MS };
    if (failures.length > 0) throw failures[0]!.error;
    if (isTerminating(cluster)) {
      const release = (of: Facts) => this.carryOut(of, [releaseAction(of.cluster)], signal);
      const ask = this.ask.bind(this);
      return await sayFarewell({ event: this.event, ask, release }, facts);
    }
    return { afterMs: nextLookMs(cluster, status.phase, this.now()) };
  }

  /** Writes only what differs. False when somebody changed the cluster meanwhile: look again. */
  private async writeStatus(
    caches: ClusterCaches,
    cluster: ClusterObject,
    status: NonNullable<ClusterObject['status']>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (isDeepStrictEqual(status, cluster.status ?? {})) return true;
    try {
      absorb(caches, await this.options.client.updateStatus(ClusterKind, { ...cluster, status }, { signal }));
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return true;
      if (isKubeError(error, 'Conflict')) return false;
      throw error;
    }
    this.announce(cluster, status);
    return true;
  }

  private announce(cluster: ClusterObject, status: NonNullable<ClusterObject['status']>): void {
    const before = cluster.status ?? {};
    const { phase, phaseReason = '', currentPrimary } = status;
    const key = keyOf(cluster);
    const ill = phase !== undefined && isTrouble(phase, phaseReason);
    // Another instance, or another cause, is news although the word is the same.
    if (phase && (phase !== before.phase || (ill && phaseReason !== before.phaseReason))) {
      this.options.log.info({ cluster: key, phase, reason: phaseReason }, 'phase');
      this.event(cluster, ill ? 'Warning' : 'Normal', phase, phaseReason);
    }
    if (currentPrimary && currentPrimary !== before.currentPrimary) {
      const message = before.currentPrimary
        ? `${currentPrimary} is primary now, after ${before.currentPrimary}`
        : `${currentPrimary} is primary`;
      this.event(cluster, 'Normal', 'PrimaryChanged', message);
    }
    const archiving = archiveEvent(before, status);
    if (archiving) this.event(cluster, archiving.severity, archiving.reason, archiving.message);
  }
}

function keyOf({ metadata }: ClusterObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function withoutStatus({ status: _, metadata, ...rest }: ClusterObject): object {
  const { resourceVersion: _version, managedFields: _fields, ...meta } = metadata;
  return { ...rest, metadata: meta };
}
