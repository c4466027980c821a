/** What a scenario acts on: a namespace of its own, and a user's means. */
import assert from 'node:assert/strict';
import { type InstanceReport, type LeaseRecord, names, readLease } from '@pgherd/api';
import { ClusterKind, type ClusterObject, waitFor, waitUntilReady } from '@pgherd/cli';
import { accessFromHost, accessInside } from '@pgherd/cli/access';
import { captureInPod } from '@pgherd/cli/pod-exec';
import { killPod } from '@pgherd/cli/pod-processes';
import type { Outage } from '@pgherd/cli/writer/recording';
import type { WriterSettings } from '@pgherd/cli/writer/settings';
import { type RunningWriter, startWriter } from '@pgherd/cli/writer/start';
import { type Client, kinds, type Pod } from '@pgherd/kube';
import { parseAllDocuments, stringify } from 'yaml';
import { DiskWatch } from './disk-watch.ts';
import { type CommandResult, kubectl, runCli, type World } from './world.ts';
import { startWriterInside } from './writer-inside.ts';
import { startPodWriter, type WriterPlace } from './writer-pod.ts';

const READY_MS = 120_000;
/** A cluster of several machines may take so many times as long as local mode. */
const SLOWER = 3;
/** How long a manager of the default Lease times has to have run before it promises. */
const SETTLED_MS = 11_000;
const TABLE = 'writes';
/** Where PostgreSQL's socket is in a container of an instance. */
const SOCKETS = '/run/postgresql';
const SQL_MS = 60_000;
/** What sessions write to that are bound to one instance. */
const HELD_TABLE = 'held';
/** How long such a session waits for an answer, in milliseconds: it is never given up. */
const PATIENCE_MS = 120_000;
/** A server that is stopping must not be kept busy by sessions that come back: it would stop late. */
const HELD_RETRY_MS = 250;

export interface WriterOptions {
  paceMs?: number;
  pipeline?: number;
  /** Where it runs: in the pod network (default), or on the host through the relay of local mode. */
  place?: 'pod' | 'host';
  /** The node of its pod. */
  node?: string;
  /** The table it writes to; only the default one is looked at by `check`. */
  table?: string;
}

export interface SessionOptions {
  /** The instance it is bound to, whoever leads. */
  instance: string;
  /** Inside that instance's pod, or on a node elsewhere. */
  from: 'inside' | { node: string };
  pipeline?: number;
}

export interface Verdict {
  outageMs: number;
  acknowledged: number;
}

export class Stage {
  readonly world: World;
  readonly namespace: string;
  readonly cluster: string;
  readonly notes: string[] = [];
  verdict: Verdict | undefined;
  /** All scenarios run, not only some. */
  complete = false;
  private readonly writers = new Set<RunningWriter>();
  /** The disk that all volumes of local mode lie on, since the first writer. */
  private disk: DiskWatch | undefined;

  constructor(world: World, namespace: string, cluster = 'c') {
    this.world = world;
    this.namespace = namespace;
    this.cluster = cluster;
  }

  get client(): Client {
    return this.world.client;
  }

  /** Milliseconds since 1970 by the clock that the writer uses. */
  now(): number {
    return performance.timeOrigin + performance.now();
  }

  /** Time in milliseconds that something may take: longer where images are fetched and volumes are made. */
  patience(ms: number): number {
    return this.world.state ? ms : ms * SLOWER;
  }

  /** A line for the report of this scenario. */
  note(text: string): void {
    this.notes.push(text);
  }

  cli(args: string[], options: { input?: string; timeoutMs?: number } = {}): Promise<CommandResult> {
    const end = args.includes('--') ? args.indexOf('--') : args.length;
    return runCli(this.world, [...args.slice(0, end), '-n', this.namespace, ...args.slice(end)], options);
  }

  kubectl(
    args: string[],
    options: { input?: string; timeoutMs?: number; env?: Record<string, string> } = {},
  ): Promise<CommandResult> {
    return kubectl(this.world, ['-n', this.namespace, ...args], options);
  }

  /** Makes a cluster with synchronous replication (any 1 where it has replicas) and waits until it is ready. */
  async createCluster(spec: Record<string, unknown> = {}): Promise<ClusterObject> {
    const instances = (spec.instances as number | undefined) ?? 3;
    const synchronous = instances > 1 ? { synchronous: { method: 'any', number: 1 } } : {};
    const manifest = {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: { name: this.cluster, namespace: this.namespace },
      spec: this.fitted({ instances, storage: { size: '1Gi' }, postgresql: synchronous, ...spec }),
    };
    await this.client.create(ClusterKind, manifest as unknown as ClusterObject, {
      fieldValidation: 'Strict',
    });
    return this.ready();
  }

  /**
   * For scenarios that share a namespace: the cluster of three with synchronous replication, as others left it, or made
   * by the first.
   */
  async sharedCluster(): Promise<ClusterObject> {
    const ref = { namespace: this.namespace, name: this.cluster };
    return (await this.client.find(ClusterKind, ref)) ? this.ready() : this.createCluster();
  }

  /** The spec of a Cluster with the storage class and the image that this world asks for. */
  fitted(spec: Record<string, unknown>): Record<string, unknown> {
    const { storageClass, imageRegistry } = this.world;
    const withClass = (storage: unknown) =>
      storage && storageClass ? { storageClass, ...(storage as object) } : storage;
    return {
      ...(imageRegistry ? { imageName: this.world.image('postgresql') } : {}),
      ...spec,
      storage: withClass(spec.storage),
      ...(spec.walStorage ? { walStorage: withClass(spec.walStorage) } : {}),
    };
  }

  /** A manifest of the examples, fitted likewise: Clusters and volume claims. */
  manifest(text: string): string {
    const fit = (object: Record<string, unknown>): Record<string, unknown> => {
      const { kind, spec } = object as { kind?: string; spec?: Record<string, unknown> };
      if (kind === 'Cluster' && spec) return { ...object, spec: this.fitted(spec) };
      if (kind !== 'PersistentVolumeClaim' || !this.world.storageClass) return object;
      return { ...object, spec: { storageClassName: this.world.storageClass, ...spec } };
    };
    return parseAllDocuments(text)
      .map((document) => stringify(fit(document.toJS() as Record<string, unknown>)))
      .join('---\n');
  }

  /** Waits until the cluster is ready, all instances included. */
  ready(timeoutMs = READY_MS): Promise<ClusterObject> {
    return waitUntilReady(this.client, this.namespace, this.cluster, { timeoutMs: this.patience(timeoutMs) });
  }

  async scale(instances: number): Promise<void> {
    await this.changeSpec({ instances });
  }

  async setParameters(parameters: Record<string, string>): Promise<void> {
    await this.changeSpec({ postgresql: { parameters } });
  }

  /** Merges this into the spec. */
  async changeSpec(spec: Record<string, unknown>): Promise<void> {
    const ref = { namespace: this.namespace, name: this.cluster };
    await this.client.patch(ClusterKind, ref, { type: 'merge', body: { spec } });
  }

  async getCluster(): Promise<ClusterObject> {
    return this.client.get(ClusterKind, { namespace: this.namespace, name: this.cluster });
  }

  /** The instance that holds the Lease. */
  async primary(): Promise<string> {
    return waitFor(async () => (await this.leader()) ?? undefined, {
      timeoutMs: this.patience(30_000),
      everyMs: 50,
      describe: () => 'nobody holds the Lease',
    });
  }

  /** How often leadership has changed hands. */
  async epoch(): Promise<number> {
    return (await this.lease()).epoch;
  }

  async leader(): Promise<string | undefined> {
    const record = await this.lease();
    return record.holder ? record.leader?.name : undefined;
  }

  private async lease(): Promise<LeaseRecord> {
    const lease = await this.client.get(kinds.Lease, {
      namespace: this.namespace,
      name: names(this.cluster).lease,
    });
    return readLease(lease as Parameters<typeof readLease>[0]);
  }

  /**
   * Waits until no manager was started just now: in a new pod it promises nothing at first, since it does not know what
   * was granted before, and a fault would be answered for its age. The guard may have started it long after its container.
   */
  async managersKnow(): Promise<void> {
    const names = (await this.instances()).map((pod) => pod.metadata.name);
    for (const name of names)
      await waitFor(async () => Date.now() - (await this.managerStart(name)) > SETTLED_MS, {
        timeoutMs: this.patience(30_000),
        everyMs: 1_000,
        describe: () => `the manager of ${name} was started just now, or does not answer`,
      });
  }

  /** When the manager of an instance was started, by its own report; not a number while it does not answer. */
  private async managerStart(pod: string): Promise<number> {
    const ask = `require('http').get({socketPath:'/run/pgherd/manager.sock',path:'/status'},a=>a.pipe(process.stdout)).on('error',()=>{})`;
    const text = await this.inPod(pod, `/pgherd/bin/node -e "${ask}"`).catch(() => '');
    return text ? Number((JSON.parse(text) as InstanceReport).identity.split('/')[1]) : Number.NaN;
  }

  async instances(): Promise<Pod[]> {
    const { items } = await this.client.list(kinds.Pod, {
      namespace: this.namespace,
      labelSelector: `pgherd.io/cluster=${this.cluster},pgherd.io/instance`,
    });
    return items;
  }

  async replicas(): Promise<string[]> {
    const primary = await this.primary();
    return (await this.instances()).map((pod) => pod.metadata.name).filter((name) => name !== primary);
  }

  pod(name: string): Promise<Pod> {
    return this.client.get(kinds.Pod, { namespace: this.namespace, name });
  }

  /** Waits until another instance than `old` leads, and returns its name. */
  newPrimary(old: string, timeoutMs = 40_000): Promise<string> {
    return waitFor(
      async () => {
        const leader = await this.leader();
        return leader && leader !== old ? leader : undefined;
      },
      {
        timeoutMs: this.patience(timeoutMs),
        everyMs: 50,
        describe: () => `nobody has taken over from ${old}`,
      },
    );
  }

  /** Runs a shell command in an instance's container and returns what it printed. */
  async inPod(pod: string, script: string): Promise<string> {
    const result = await captureInPod(this.client, { metadata: { name: pod, namespace: this.namespace } }, [
      'sh',
      '-c',
      script,
    ]);
    assert.equal(result.code, 0, `in ${pod}: ${script}\n${result.stderr}`);
    return result.stdout.trim();
  }

  /** Kills the postmaster of an instance with SIGKILL; its backends live on. */
  killPostmaster(pod: string): Promise<string> {
    return this.inPod(pod, 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"');
  }

  /** Sends a signal to the instance manager, which is no child of the kubelet's but of the guard. */
  signalManager(pod: string, signal: string): Promise<string> {
    const find =
      'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null | grep -q "^[^ ]*node .*manager\\.mjs *$" && basename $p; done';
    return this.inPod(
      pod,
      `pids=$(${find}); [ -n "$pids" ] || { echo "no manager found" >&2; exit 1; }; kill -${signal} $pids`,
    );
  }

  /**
   * Kills every process of a pod with SIGKILL. In local mode from outside, the container's first process too. On
   * another cluster from inside, where the kernel spares the first process of a container.
   */
  async killEverything(pod: string): Promise<void> {
    return this.killEverythingOf(await this.pod(pod));
  }

  async killEverythingOf({ metadata, spec }: Pod): Promise<void> {
    if (this.world.state && killPod(metadata.uid ?? '') > 0) return;
    const container = spec?.containers[0]?.name;
    await captureInPod(this.client, { metadata }, ['sh', '-c', 'kill -9 -1'], { container }).catch(
      () => undefined,
    );
  }

  /** Kills all processes of the primary and waits until somebody leads anew: another, or the same one started again. */
  async primaryAfterKill(primary: string): Promise<string> {
    const before = await this.epoch();
    await this.killEverything(primary);
    await waitFor(async () => (await this.epoch()) > before, {
      timeoutMs: 60_000,
      everyMs: 50,
      describe: () => `nobody leads anew after ${primary} was killed`,
    });
    return this.primary();
  }

  /**
   * Runs SQL as superuser in an instance, the primary by default, as `pgherd psql` does but without a process of its
   * own; returns what psql prints unaligned.
   *
   * @param where `['--instance', NAME]` for another one
   */
  async sql(query: string, where: ['--instance', string] | [] = []): Promise<string> {
    const name = where[1] ?? (await this.primary());
    const pod = { metadata: { name, namespace: this.namespace } };
    const arguments_ = ['-U', 'postgres', '-h', SOCKETS, '-d', this.database, '-XAtqc', query];
    const result = await captureInPod(this.client, pod, ['psql', ...arguments_], { timeoutMs: SQL_MS });
    assert.equal(result.code, 0, `SQL: ${query}\n${result.stderr}`);
    return result.stdout.trim();
  }

  readonly database = 'app';

  /** Starts the recording writer and waits until it has written for a while. */
  async startWriter(options: WriterOptions = {}): Promise<RunningWriter> {
    const table = options.table ?? TABLE;
    if (this.world.state) this.disk ??= new DiskWatch(this.world.state);
    await this.makeTable(table);
    const place = options.place ?? 'pod';
    const access =
      place === 'host' && this.world.state
        ? await accessFromHost(this.client, this.world.state, this.namespace, this.cluster)
        : await accessInside(this.client, this.namespace, this.cluster);
    const settings: WriterSettings = {
      ...access,
      table,
      paceMs: options.paceMs ?? 5,
      timeoutMs: 300,
      pipeline: options.pipeline ?? 0,
    };
    const writer =
      place === 'host' && this.world.state
        ? await startWriter(settings)
        : await startPodWriter(this.client, this.placeOnNode(options.node), settings);
    this.writers.add(writer);
    await this.written(writer, 200);
    return writer;
  }

  private placeOnNode(node: string | undefined): WriterPlace {
    const { namespace, world } = this;
    return { namespace, image: world.image('pgherd'), ...(node ? { node } : {}) };
  }

  /**
   * Starts a writer whose session is bound to one instance and is never given up by the client, as that of an
   * application without timeouts. It writes to a table of its own; `lostBy` compares.
   */
  async holdSession({ instance, from, pipeline = 0 }: SessionOptions): Promise<RunningWriter> {
    await this.makeTable(HELD_TABLE);
    const access = await accessInside(this.client, this.namespace, this.cluster);
    const pace = { paceMs: 5, timeoutMs: PATIENCE_MS, retryMs: HELD_RETRY_MS };
    const settings = { ...access, table: HELD_TABLE, ...pace, pipeline };
    const { status } = await this.pod(instance);
    const writer =
      from === 'inside'
        ? await startWriterInside(
            this.client,
            { name: instance, namespace: this.namespace },
            { ...settings, host: '127.0.0.1' },
          )
        : await startPodWriter(this.client, this.placeOnNode(from.node), {
            ...settings,
            host: status?.podIP ?? '',
          });
    this.writers.add(writer);
    await this.written(writer, 50);
    return writer;
  }

  /** The ids that a held session got acknowledged and that are in no table now. */
  async lostBy(writer: RunningWriter): Promise<number[]> {
    const recording = await writer.stop();
    this.writers.delete(writer);
    return recording.missing(await this.idsIn(HELD_TABLE));
  }

  private async makeTable(table: string): Promise<void> {
    await this.sql(
      `CREATE TABLE IF NOT EXISTS ${table} (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp()); GRANT ALL ON ${table} TO app`,
    );
  }

  /** All ids that a writer's table has now. */
  async idsIn(table: string = TABLE): Promise<number[]> {
    return (await this.sql(`SELECT id FROM ${table}`)).split('\n').filter(Boolean).map(Number);
  }

  /** Waits until so many more writes are acknowledged. */
  async written(writer: RunningWriter, more: number, timeoutMs = 60_000): Promise<void> {
    const { recording } = writer;
    const goal = recording.acknowledged + more;
    await waitFor(async () => recording.acknowledged >= goal, {
      timeoutMs: this.patience(timeoutMs),
      everyMs: 20,
      describe: () => {
        const last = recording.lost.at(-1)?.error ?? 'no error';
        return `${recording.acknowledged} of ${goal} writes are acknowledged (${last})`;
      },
    });
  }

  /**
   * Ends the writer, and checks that every acknowledged write is in the database. Notes the outage after `since`, which
   * must be shorter than `withinMs` and what the disk took of it.
   */
  async check(writer: RunningWriter, since: number, withinMs = Number.POSITIVE_INFINITY): Promise<void> {
    const recording = await writer.stop();
    this.writers.delete(writer);
    const missing = recording.missing(await this.idsIn());
    const outage = recording.longestOutage(since);
    this.verdict = { outageMs: outage.ms, acknowledged: recording.acknowledged };
    assert.deepEqual(missing, [], `${missing.length} acknowledged writes are missing`);
    assert.ok(recording.acknowledged > 0, 'no write was acknowledged at all');
    this.bearable(outage, withinMs);
  }

  /** Throws when the outage was longer than `withinMs` and what the disk took of it. */
  bearable({ from, to, ms }: Outage, withinMs: number): void {
    const disk = this.disk?.stalledMs(from, to) ?? 0;
    assert.ok(
      ms - disk < withinMs,
      `writes were interrupted for ${ms.toFixed(0)} ms from ${new Date(from).toISOString()} on; the disk stood still for ${disk.toFixed(0)} ms of it`,
    );
  }

  /** When PostgreSQL was started in each instance. */
  async startTimes(): Promise<Record<string, string>> {
    const pods = (await this.instances()).map((pod) => pod.metadata.name).sort();
    const times = await Promise.all(
      pods.map((pod) => this.sql('SELECT pg_postmaster_start_time()', ['--instance', pod])),
    );
    return Object.fromEntries(pods.map((pod, i) => [pod, times[i] ?? '']));
  }

  /** Ends writers that a failed scenario left. */
  async end(): Promise<void> {
    await Promise.allSettled([...this.writers].map((writer) => writer.stop()));
    await this.disk?.end();
  }
}
