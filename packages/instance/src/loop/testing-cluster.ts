/** For tests: instances with real PostgreSQL against a real API server, each with the loop of its manager. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ANNOTATION_EPOCH, instanceLabels, type LeaseRecord, readLease, writeLease } from '@pgherd/api';
import { Client, type KubeObject, kinds, type Lease, type Service } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { openSession, type Session } from '@pgherd/postgres';
import { freePort, killAllIn, testFolder, until } from '@pgherd/postgres/testing';
import { parse } from 'yaml';
import { tlsFiles } from '../database/layout.ts';
import { copyTls, makeTls } from '../testing.ts';
import { ClusterKind, type ClusterObject } from './surroundings.ts';
import { TestInstance } from './testing-instance.ts';
import { Writer } from './testing-writer.ts';

const ROOT = join(import.meta.dirname, '../../../..');
export const TEST_NAMESPACE = 'default';

export interface TestClusterOptions {
  /** How many instances; 3 by default. */
  count?: number;
  /** Merged into spec.postgresql. */
  postgresql?: object;
  /** Where the volume of an instance lies, when not in the test's folder. */
  volume?(name: string): string | undefined;
  /** spec.backup: then the one instance keeps its backups too, in a sandbox that has what a pod has. */
  backup?(): object;
}

export class TestCluster {
  readonly folder = testFolder();
  readonly names: string[];
  readonly instances: TestInstance[];
  client!: Client;
  ports!: { api: number; postgres: number; manager: number };
  #api: ChildProcess | undefined;
  readonly #o: TestClusterOptions;

  constructor(options: TestClusterOptions = {}) {
    this.#o = options;
    this.names = Array.from({ length: options.count ?? 3 }, (_, index) => `demo-${index + 1}`);
    this.instances = this.names.map((name) => {
      const volume = options.volume?.(name) ?? join(this.folder, name);
      return new TestInstance(this, name, this.folder, volume, options.backup !== undefined);
    });
  }

  get = (name: string): TestInstance => this.instances.find((each) => each.name === name)!;

  /** Certificates, the API server and all objects; no instance runs yet. */
  async prepare(): Promise<void> {
    const [first, ...others] = this.instances;
    makeTls(first!.layout.tls, ['demo-rw', 'demo-r']);
    for (const { layout } of others) copyTls(first!.layout.tls, layout.tls);
    this.ports = { api: await freePort(), postgres: await freePort(), manager: await freePort() };
    await this.startApi();
    this.client = new Client(await loadKubeconfig({ path: join(this.folder, 'state', 'kubeconfig') }));
    await this.#makeObjects();
  }

  end(): void {
    for (const each of this.instances) each.stop();
    this.client?.close();
    this.#api?.removeAllListeners('exit');
    this.#api?.kill('SIGKILL');
    killAllIn(...this.instances.map(({ layout }) => layout.pgdata));
  }

  async startApi(): Promise<void> {
    const main = join(ROOT, 'packages/local/src/api/main.ts');
    const args = [main, '--state', join(this.folder, 'state'), '--port', String(this.ports.api)];
    const api = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', process.env.PGHERD_TEST_LOG ? 'inherit' : 'ignore'],
    });
    this.#api = api;
    await new Promise<void>((resolve, reject) => {
      api.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('ready') && resolve());
      api.on('exit', (code) => reject(new Error(`the API server ended with code ${code}`)));
    });
  }

  async killApi(): Promise<void> {
    const api = this.#api!;
    api.removeAllListeners('exit');
    const ended = new Promise((resolve) => api.once('exit', resolve));
    api.kill('SIGKILL');
    await ended;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.instances.map((each) => each.start()));
    await this.settle();
  }

  // --- what lies in the API -------------------------------------------------------------------------------------

  async #makeObjects(): Promise<void> {
    const { client } = this;
    const crd = parse(readFileSync(join(ROOT, 'deploy/crds/pgherd.io_clusters.yaml'), 'utf8')) as KubeObject;
    await client.create(kinds.CustomResourceDefinition, crd as never);
    const metadata = (name: string) => ({ name, namespace: TEST_NAMESPACE });
    await client.create(kinds.Lease, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: metadata('demo-primary'),
      spec: {},
    });
    await this.recordLease((record) => ({ ...record, designated: 'demo-1' }));
    await client.create(kinds.Service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata('demo-rw'),
      spec: { ports: [{ port: 5432 }] },
    } as Service);
    await this.makeSecret('demo-app', { username: 'app', password: 'secret' });
    await client.create(kinds.ServiceAccount, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadata('default'),
    });
    for (const name of this.names) await this.#makePod(name);
    const cluster = {
      apiVersion: 'pgherd.io/v1',
      kind: 'Cluster',
      metadata: metadata('demo'),
      spec: {
        instances: this.names.length,
        storage: { size: '1Gi' },
        postgresql: {
          parameters: { shared_buffers: '16MB' },
          pg_hba: ['hostssl app app 127.0.0.0/8 scram-sha-256'],
          ...(this.names.length > 1 ? { synchronous: { method: 'any', number: 1 } } : {}),
          ...this.#o.postgresql,
        },
        ...(this.#o.backup ? { backup: this.#o.backup() } : {}),
      },
    } as ClusterObject;
    await until('the kind Cluster to be served', () =>
      client.create(ClusterKind, cluster).then(
        () => true,
        () => false,
      ),
    );
  }

  async #makePod(name: string): Promise<void> {
    const pod = await this.client.create(kinds.Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: TEST_NAMESPACE, labels: instanceLabels('demo', name) },
      spec: { containers: [{ name: 'postgres', image: 'x' }], serviceAccountName: 'default' },
    } as never);
    this.get(name).podUID = pod.metadata.uid!;
    await this.podStatus(name, {
      state: { running: { startedAt: new Date().toISOString() } },
      containerID: `c://${name}`,
    });
  }

  async makeSecret(name: string, data: Record<string, string>): Promise<void> {
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    await this.client.create(kinds.Secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace: TEST_NAMESPACE },
      data: Object.fromEntries(encoded),
    });
  }

  /** What the kubelet says of the container. */
  async podStatus(name: string, container: object): Promise<void> {
    const status = { name: 'postgres', image: 'x', imageID: 'x', ready: true, restartCount: 0, ...container };
    await this.client.patch(
      kinds.Pod,
      { namespace: TEST_NAMESPACE, name },
      {
        type: 'merge',
        subresource: 'status',
        body: { status: { podIP: this.get(name).address, containerStatuses: [status] } },
      },
    );
  }

  /** Annotations of the Cluster: what people ask for. */
  async annotate(annotations: Record<string, string | null>): Promise<void> {
    await this.client.patch(
      ClusterKind,
      { namespace: TEST_NAMESPACE, name: 'demo' },
      { type: 'merge', body: { metadata: { annotations } } },
    );
  }

  /** Merged into the Cluster's spec. */
  async patch(spec: object): Promise<void> {
    await this.client.patch(
      ClusterKind,
      { namespace: TEST_NAMESPACE, name: 'demo' },
      { type: 'merge', body: { spec } },
    );
  }

  async record(): Promise<LeaseRecord> {
    return readLease(await this.client.get(kinds.Lease, { namespace: TEST_NAMESPACE, name: 'demo-primary' }));
  }

  async leader(): Promise<string> {
    return (await this.record()).leader!.name;
  }

  async recordLease(change: (record: LeaseRecord) => LeaseRecord): Promise<void> {
    const lease = await this.client.get(kinds.Lease, { namespace: TEST_NAMESPACE, name: 'demo-primary' });
    await this.client.update(kinds.Lease, writeLease<Lease>(lease, change(readLease(lease))));
  }

  /** Whom -rw selects, under which epoch. */
  async writeService(): Promise<{ instance: string | undefined; epoch: number }> {
    const service = await this.client.get(kinds.Service, { namespace: TEST_NAMESPACE, name: 'demo-rw' });
    return {
      instance: service.spec?.selector?.['pgherd.io/instance'],
      epoch: Number(service.metadata.annotations?.[ANNOTATION_EPOCH]),
    };
  }

  // --- what is waited for ---------------------------------------------------------------------------------------

  /** Resolves with one primary that all others stream from, all members, one rule. */
  settle(deadlineMs = 60_000): Promise<void> {
    return until('one primary, and all others streaming', () => this.#settled(), deadlineMs).catch(
      async (error) => {
        for (const each of this.instances)
          console.error(each.name, each.loop.situation, JSON.stringify(each.report));
        console.error(JSON.stringify(await this.record()));
        throw error;
      },
    );
  }

  async #settled(): Promise<boolean> {
    const record = await this.record();
    const leader = record.leader?.name;
    if (!record.holder || !leader || record.rules.length !== 1) return false;
    if (record.members.length !== this.names.length) return false;
    // A volume that was copied anew counts once the leader has recorded it.
    const recorded = (name: string, incarnation?: string) =>
      record.members.some((member) => member.name === name && member.incarnation === incarnation);
    if (!this.instances.every(({ report }) => recorded(report.name, report.incarnation))) return false;
    return this.instances.every(({ report }) =>
      report.name === leader
        ? report.role === 'primary' && report.leader
        : report.streaming && report.upstream === leader,
    );
  }

  // --- clients --------------------------------------------------------------------------------------------------

  /** A connection of the application to this instance. */
  connect(name: string, connectTimeoutMs = 10_000): Promise<Session> {
    const ca = readFileSync(tlsFiles(this.instances[0]!.layout.tls).ca, 'utf8');
    return openSession({
      host: this.get(name).address,
      port: this.ports.postgres,
      user: 'app',
      database: 'app',
      password: 'secret',
      connectTimeoutMs,
      tls: { ca, servername: 'demo-rw' },
    });
  }

  /** Runs one statement on the leader. */
  async sql(text: string, timeoutMs = 10_000): Promise<Record<string, unknown>[]> {
    const session = await this.connect(await this.leader());
    try {
      return await session.query(text, [], timeoutMs);
    } finally {
      session.close();
    }
  }

  /** Everything this writer was told is done is there. */
  async nothingLost(writer: Writer): Promise<void> {
    const rows = await this.sql('select id from t');
    const there = new Set(rows.map((row) => row.id as number));
    assert.deepEqual(
      writer.acked.map(({ id }) => id).filter((id) => !there.has(id)),
      [],
    );
  }

  /**
   * A fault under a client that writes: waits until writes go on, all is settled and nothing is lost. Returns who
   * led before.
   */
  async fault(
    t: { diagnostic(text: string): void },
    strike: (leader: string) => Promise<void>,
  ): Promise<string> {
    const leader = await this.leader();
    const writer = new Writer(this);
    try {
      await until('the writer to write', () => writer.acked.length > 20, 60_000);
      const at = performance.now();
      await strike(leader);
      const before = writer.acked.length;
      await until('writes after the fault', () => writer.acked.length > before + 20, 60_000);
      await this.settle();
      t.diagnostic(`write outage ${writer.outageSince(at).toFixed(0)} ms`);
    } finally {
      await writer.stop();
    }
    await this.nothingLost(writer);
    return leader;
  }
}
