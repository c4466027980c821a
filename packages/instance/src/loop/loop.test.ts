/** Three instances with real PostgreSQL against a real API server: the loop and the machine at work together. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ANNOTATION_EPOCH, instanceLabels, type LeaseRecord, readLease, writeLease } from '@pgherd/api';
import { Client, type KubeObject, kinds, type Lease, type Service } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { openSession, processesIn, type Session } from '@pgherd/postgres';
import { freePort, killAllIn, killIfThere, quiet, testFolder, until } from '@pgherd/postgres/testing';
import { parse } from 'yaml';
import { openDatabase } from '../database/index.ts';
import { type Layout, tlsFiles } from '../database/layout.ts';
import { type ManagerServer, serveManager } from '../server/manager-server.ts';
import { copyTls, makeTls } from '../testing.ts';
import { readTlsFiles } from '../tls.ts';
import { Loop } from './loop.ts';
import { ClusterKind, type ClusterObject } from './surroundings.ts';

const ROOT = join(import.meta.dirname, '../../../..');
const NAMESPACE = 'default';
const NAMES = ['demo-1', 'demo-2', 'demo-3'];
const folder = testFolder();
const [apiPort, postgresPort, managerPort] = [await freePort(), await freePort(), await freePort()];

let api: ChildProcess;
let client: Client;

const serial = (name: string) => Number(name.slice(-1));
const address = (name: string) => `127.0.0.${20 + serial(name)}`;
const layoutOf = (name: string): Layout => ({
  pgdata: join(folder, name, 'pgdata'),
  notes: join(folder, name, 'pgherd'),
  sockets: join(folder, `s${serial(name)}`),
  run: join(folder, `run${serial(name)}`),
  tls: join(folder, `run${serial(name)}`, 'tls'),
});

/** One instance: what its container would hold. */
class Instance {
  readonly name: string;
  readonly beats: (number | null)[] = [];
  loop!: Loop;
  exit: { code: number; why: string } | undefined;
  podUID = '';
  #server: ManagerServer | undefined;
  #end = new AbortController();

  constructor(name: string) {
    this.name = name;
  }

  async start(): Promise<void> {
    this.exit = undefined;
    this.#end = new AbortController();
    const layout = layoutOf(this.name);
    const files = tlsFiles(layout.tls);
    const pem = (file: string) => readFileSync(file, 'utf8');
    const database = await openDatabase({
      instance: this.name,
      cluster: 'demo',
      layout,
      port: postgresPort,
      listenAddresses: address(this.name),
      serverName: 'demo-rw',
      log: quiet,
    });
    const peerTls = { ca: pem(files.ca), cert: pem(files.clientCert), key: pem(files.clientKey) };
    this.loop = new Loop({
      client,
      namespace: NAMESPACE,
      cluster: 'demo',
      instance: this.name,
      podUID: this.podUID,
      podIP: address(this.name),
      managerStart: Date.now(),
      database,
      guard: { beat: (deadline) => this.beats.push(deadline) > 0, close: () => undefined },
      peerTls: () => peerTls,
      log: quiet,
      exit: (code, why) => {
        this.exit = { code, why };
        this.stop();
      },
      peerPort: managerPort,
    });
    this.#server = await serveManager({
      port: managerPort,
      host: address(this.name),
      material: readTlsFiles(layout.tls)!,
      answers: this.loop,
    });
    this.loop.start(this.#end.signal);
  }

  stop(): void {
    this.#end.abort();
    this.#server?.close();
  }

  get postmaster(): number {
    const pid = readFileSync(join(layoutOf(this.name).pgdata, 'postmaster.pid'), 'utf8').split('\n')[0];
    return Number(pid);
  }
}

const instances = new Map(NAMES.map((name) => [name, new Instance(name)]));
const get = (name: string) => instances.get(name)!;

async function startApi(): Promise<void> {
  const main = join(ROOT, 'packages/local/src/api/main.ts');
  api = spawn(process.execPath, [main, '--state', join(folder, 'state'), '--port', String(apiPort)], {
    stdio: ['ignore', 'pipe', process.env.PGHERD_TEST_LOG ? 'inherit' : 'ignore'],
  });
  await new Promise<void>((resolve, reject) => {
    api.stdout!.on('data', (chunk: Buffer) => chunk.toString().includes('ready') && resolve());
    api.on('exit', (code) => reject(new Error(`the API server ended with code ${code}`)));
  });
}

async function makeObjects(): Promise<void> {
  const crd = parse(readFileSync(join(ROOT, 'deploy/crds/pgherd.io_clusters.yaml'), 'utf8')) as KubeObject;
  await client.create(kinds.CustomResourceDefinition, crd as never);
  const metadata = (name: string) => ({ name, namespace: NAMESPACE });
  await client.create(kinds.Lease, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: metadata('demo-primary'),
    spec: {},
  });
  await recordLease((record) => ({ ...record, designated: 'demo-1' }));
  await client.create(kinds.Service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('demo-rw'),
    spec: { ports: [{ port: 5432 }] },
  } as Service);
  await client.create(kinds.Secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata('demo-app'),
    data: {
      username: Buffer.from('app').toString('base64'),
      password: Buffer.from('secret').toString('base64'),
    },
  });
  await client.create(kinds.ServiceAccount, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadata('default'),
  });
  for (const name of NAMES) {
    const pod = await client.create(kinds.Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata(name), labels: instanceLabels('demo', name) },
      spec: { containers: [{ name: 'postgres', image: 'x' }], serviceAccountName: 'default' },
    } as never);
    get(name).podUID = pod.metadata.uid!;
    await podStatus(name, {
      state: { running: { startedAt: new Date().toISOString() } },
      containerID: `c://${name}`,
    });
  }
  await until('the kind Cluster to be served', () =>
    client
      .create(ClusterKind, {
        apiVersion: 'pgherd.io/v1',
        kind: 'Cluster',
        metadata: metadata('demo'),
        spec: {
          instances: 3,
          storage: { size: '1Gi' },
          postgresql: {
            parameters: { shared_buffers: '16MB' },
            pg_hba: ['hostssl app app 127.0.0.0/8 scram-sha-256'],
            synchronous: { method: 'any', number: 1 },
          },
        },
      } as ClusterObject)
      .then(
        () => true,
        () => false,
      ),
  );
}

async function podStatus(name: string, container: object): Promise<void> {
  await client.patch(
    kinds.Pod,
    { namespace: NAMESPACE, name },
    {
      type: 'merge',
      subresource: 'status',
      body: {
        status: {
          podIP: address(name),
          containerStatuses: [
            { name: 'postgres', image: 'x', imageID: 'x', ready: true, restartCount: 0, ...container },
          ],
        },
      },
    },
  );
}

const leaseRef = { namespace: NAMESPACE, name: 'demo-primary' };
const readRecord = async () => readLease(await client.get(kinds.Lease, leaseRef));

async function recordLease(change: (record: LeaseRecord) => LeaseRecord): Promise<void> {
  const lease = await client.get(kinds.Lease, leaseRef);
  await client.update(kinds.Lease, writeLease<Lease>(lease, change(readLease(lease))));
}

async function writeService(): Promise<{ instance: string | undefined; epoch: number }> {
  const service = await client.get(kinds.Service, { namespace: NAMESPACE, name: 'demo-rw' });
  return {
    instance: service.spec?.selector?.['pgherd.io/instance'],
    epoch: Number(service.metadata.annotations?.[ANNOTATION_EPOCH]),
  };
}

/** One primary that all others stream from, all members, one rule. */
async function settled(): Promise<boolean> {
  const record = await readRecord();
  const leader = record.leader?.name;
  if (!record.holder || !leader || record.members.length !== 3 || record.rules.length !== 1) return false;
  const reports = [...instances.values()].map((each) => each.loop.report());
  return reports.every((report) =>
    report.name === leader
      ? report.role === 'primary' && report.leader
      : report.streaming && report.upstream === leader,
  );
}

function settle(): Promise<void> {
  return until('one primary and two replicas', settled, 40_000).catch(async (error) => {
    for (const each of instances.values())
      console.error(each.name, each.loop.situation, JSON.stringify(each.loop.report()));
    console.error(JSON.stringify(await readRecord()));
    throw error;
  });
}

/** A client that writes to whatever -rw selects, and remembers what was acknowledged. */
class Writer {
  readonly acked: { id: number; at: number }[] = [];
  #session: Session | undefined;
  #stopped = false;
  #done: Promise<void>;
  static #id = 0;

  constructor() {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#session?.close();
  }

  outageSince(at: number): number {
    const times = [at, ...this.acked.map((each) => each.at).filter((time) => time > at)];
    return Math.max(...times.slice(1).map((time, i) => time - times[i]!));
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#session ??= await this.#connect();
        const id = ++Writer.#id;
        await this.#session.query('insert into t values ($1)', [id], 300);
        this.acked.push({ id, at: performance.now() });
      } catch {
        this.#session?.close();
        this.#session = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #connect(): Promise<Session> {
    const { instance } = await writeService();
    return connect(instance!);
  }
}

function connect(instance: string): Promise<Session> {
  const ca = readFileSync(tlsFiles(layoutOf('demo-1').tls).ca, 'utf8');
  return openSession({
    host: address(instance),
    port: postgresPort,
    user: 'app',
    database: 'app',
    password: 'secret',
    connectTimeoutMs: 300,
    tls: { ca, servername: 'demo-rw' },
  });
}

async function nothingLost(writer: Writer): Promise<void> {
  const session = await connect((await readRecord()).leader!.name);
  const rows = await session.query<{ id: number }>('select id from t');
  session.close();
  const there = new Set(rows.map((row) => row.id));
  assert.deepEqual(
    writer.acked.map(({ id }) => id).filter((id) => !there.has(id)),
    [],
  );
}

before(async () => {
  makeTls(layoutOf('demo-1').tls, ['demo-rw', 'demo-r']);
  for (const name of ['demo-2', 'demo-3']) copyTls(layoutOf('demo-1').tls, layoutOf(name).tls);
  await startApi();
  client = new Client(await loadKubeconfig({ path: join(folder, 'state', 'kubeconfig') }));
  await makeObjects();
});

after(async () => {
  for (const each of instances.values()) each.stop();
  client?.close();
  api?.kill('SIGKILL');
  killAllIn(...NAMES.map((name) => layoutOf(name).pgdata));
});

/** Faults one after the other on one cluster: each leaves it settled, with nothing lost. */
async function fault(
  t: { diagnostic(text: string): void },
  strike: (leader: string) => Promise<void>,
): Promise<string> {
  const leader = (await readRecord()).leader!.name;
  const writer = new Writer();
  try {
    await until('the writer to write', () => writer.acked.length > 20);
    const at = performance.now();
    await strike(leader);
    const before = writer.acked.length;
    await until('writes after the fault', () => writer.acked.length > before + 20, 40_000);
    await settle();
    t.diagnostic(`write outage ${writer.outageSince(at).toFixed(0)} ms`);
  } finally {
    await writer.stop();
  }
  await nothingLost(writer);
  return leader;
}

test('three instances come up on empty volumes, and -rw points at the first', async (t) => {
  const began = performance.now();
  await Promise.all([...instances.values()].map((each) => each.start()));
  await settle();
  t.diagnostic(`settled after ${(performance.now() - began).toFixed(0)} ms`);
  assert.deepEqual(await writeService(), { instance: 'demo-1', epoch: 1 });
  const record = await readRecord();
  assert.deepEqual(record.rules, [{ method: 'any', number: 1, names: ['demo-2', 'demo-3'], required: true }]);
  assert.equal(record.leader?.containerID, 'c://demo-1');
  assert.ok(get('demo-1').beats.some((beat) => typeof beat === 'number'));
  const session = await connect('demo-1');
  await session.query('create table t (id int primary key)');
  session.close();
});

test('the postmaster is killed: a synchronous replica takes over', async (t) => {
  const leader = await fault(t, async (name) => {
    process.kill(get(name).postmaster, 'SIGKILL');
  });
  assert.notEqual((await readRecord()).leader?.name, leader);
});

test('a switchover is asked for', async (t) => {
  await fault(t, async (name) => {
    const to = NAMES.find((each) => each !== name)!;
    const wish = JSON.stringify({ id: 'one', from: name, to });
    await client.patch(
      ClusterKind,
      { namespace: NAMESPACE, name: 'demo' },
      {
        type: 'merge',
        body: { metadata: { annotations: { 'pgherd.io/switchover': wish } } },
      },
    );
    await until(`${to} to lead`, async () => (await readRecord()).leader?.name === to);
  });
});

test('the manager and all of its pod are killed; the kubelet says so', async (t) => {
  await fault(t, async (name) => {
    get(name).stop();
    for (const pid of processesIn(layoutOf(name).pgdata)) killIfThere(pid);
    await podStatus(name, {
      state: { waiting: { reason: 'CrashLoopBackOff' } },
      lastState: { terminated: { exitCode: 137, reason: 'Error', containerID: `c://${name}` } },
    });
    await until('another to lead', async () => (await readRecord()).leader?.name !== name);
    await get(name).start();
  });
});

test('the data directory is emptied under the running primary: it comes back by copy', async (t) => {
  const systemID = (await readRecord()).systemID;
  const leader = await fault(t, async (name) => {
    rmSync(layoutOf(name).pgdata, { recursive: true, force: true });
    await until('another to lead', async () => (await readRecord()).leader?.name !== name, 20_000);
  });
  assert.notEqual((await readRecord()).leader?.name, leader);
  assert.equal((await readRecord()).systemID, systemID);
});

test('the API is killed and comes back: nobody restarts, nobody else leads', async () => {
  await settle();
  const before = { record: await readRecord(), postmasters: NAMES.map((name) => get(name).postmaster) };
  api.removeAllListeners('exit');
  api.kill('SIGKILL');
  await new Promise((resolve) => api.once('exit', resolve));
  await startApi();
  const renewed = async () => (await readRecord()).renewTime !== before.record.renewTime;
  await until('a renewal', renewed, 10_000);
  const record = await readRecord();
  assert.deepEqual([record.holder, record.epoch], [before.record.holder, before.record.epoch]);
  assert.deepEqual(
    NAMES.map((name) => get(name).postmaster),
    before.postmasters,
  );
});

test("the leader's pod is stopped: it hands over first, then ends", async (t) => {
  const leader = (await readRecord()).leader!.name;
  await fault(t, async (name) => {
    get(name).loop.terminate(30_000);
    await until('the manager to end', () => get(name).exit !== undefined, 20_000);
    assert.equal(get(name).exit?.code, 0);
    assert.deepEqual(processesIn(layoutOf(name).pgdata), []);
    await get(name).start();
  });
  assert.notEqual((await readRecord()).leader?.name, leader);
});
