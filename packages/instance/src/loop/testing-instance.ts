import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster, EffectiveSpec, InstanceReport } from '@pgherd/api';
import type { Log } from '@pgherd/kube';
import { openSession } from '@pgherd/postgres';
import { quiet, until } from '@pgherd/postgres/testing';
import { BackupKeeper } from '../backup/keeper.ts';
import { ArchiveMarks, withLeadingMark } from '../backup/marks.ts';
import { openDatabase } from '../database/index.ts';
import type { Layout } from '../database/layout.ts';
import type { Database } from '../database/types.ts';
import { type ManagerServer, serveManager } from '../server/manager-server.ts';
import { readTlsFiles } from '../tls.ts';
import { Loop } from './loop.ts';
import { TEST_NAMESPACE, type TestCluster } from './testing-cluster.ts';

const POD_GRACE_MS = 30_000;

/** One instance: what its container would hold. */
export class TestInstance {
  readonly name: string;
  readonly beats: (number | null)[] = [];
  readonly layout: Layout;
  readonly address: string;
  loop!: Loop;
  database!: Database;
  exit: { code: number; why: string } | undefined;
  podUID = '';
  backups: BackupKeeper | undefined;
  log: Log = quiet;
  #server: ManagerServer | undefined;
  #end = new AbortController();
  readonly #cluster: TestCluster;
  readonly #keepsBackups: boolean;

  constructor(cluster: TestCluster, name: string, folder: string, volume: string, keepsBackups: boolean) {
    const serial = Number(name.slice(-1));
    this.#cluster = cluster;
    this.#keepsBackups = keepsBackups;
    this.name = name;
    this.address = `127.0.0.${20 + serial}`;
    // Where the scripts that PostgreSQL calls look for it.
    const run = keepsBackups ? '/run/pgherd' : join(folder, `run${serial}`);
    this.layout = {
      pgdata: join(volume, 'pgdata'),
      notes: join(volume, 'pgherd'),
      sockets: join(folder, `s${serial}`),
      run,
      tls: join(run, 'tls'),
    };
  }

  async start(): Promise<void> {
    this.exit = undefined;
    this.#end = new AbortController();
    const { client, ports } = this.#cluster;
    const marks = this.#keepsBackups ? new ArchiveMarks(this.layout.run) : undefined;
    const link = { beat: (deadline: number | null) => this.beats.push(deadline) > 0, close: () => undefined };
    this.database = await openDatabase({
      instance: this.name,
      cluster: 'demo',
      layout: this.layout,
      port: ports.postgres,
      listenAddresses: this.address,
      serverName: 'demo-rw',
      log: quiet,
      ...(marks ? { archiver: marks } : {}),
    });
    const material = readTlsFiles(this.layout.tls)!;
    const peerTls = { ca: material.ca, cert: material.clientCert, key: material.clientKey };
    this.loop = new Loop({
      client,
      namespace: TEST_NAMESPACE,
      cluster: 'demo',
      instance: this.name,
      podUID: this.podUID,
      podIP: this.address,
      managerStart: Date.now(),
      database: this.database,
      layout: this.layout,
      guard: marks ? withLeadingMark(link, this.layout.run) : link,
      archive: () => this.backups?.report(),
      spec: (eff: EffectiveSpec, object: Cluster) => this.backups?.follow(eff, object),
      peerTls: () => peerTls,
      log: quiet,
      exit: (code, why) => {
        this.exit = { code, why };
        this.stop();
      },
      peerPort: ports.manager,
    });
    if (marks) this.backups = this.#keepBackups(marks);
    this.#server = await serveManager({
      port: ports.manager,
      host: this.address,
      material,
      answers: this.loop,
    });
    this.loop.start(this.#end.signal);
    this.backups?.start(this.#end.signal);
  }

  #keepBackups(marks: ArchiveMarks): BackupKeeper {
    const { client, ports } = this.#cluster;
    return new BackupKeeper({
      client,
      namespace: TEST_NAMESPACE,
      cluster: 'demo',
      instance: this.name,
      layout: this.layout,
      port: ports.postgres,
      database: this.database,
      marks,
      log: this.log,
      leads: () => this.loop.state.held !== undefined && this.database.view().inRecovery === false,
      leader: () => this.loop.state.lease?.record.leader,
      ask: (peer) => this.loop.ask(peer),
      tls: () => readTlsFiles(this.layout.tls)!,
      storeTimeoutS: 1,
      heldUpMs: 1_000,
    });
  }

  /** Ends the manager; PostgreSQL goes on, as after a kill of the manager without a guard. */
  stop(): void {
    this.#end.abort();
    this.#server?.close();
  }

  /** The pod is stopped in order. */
  async terminate(): Promise<void> {
    this.loop.terminate(POD_GRACE_MS);
    await until(`the manager of ${this.name} to end`, () => this.exit !== undefined, POD_GRACE_MS);
  }

  /** Runs SQL in the application's database, as superuser. */
  async superuser(text: string): Promise<Record<string, unknown>[]> {
    const session = await openSession({
      host: this.layout.sockets,
      port: this.#cluster.ports.postgres,
      user: 'postgres',
      database: 'app',
      connectTimeoutMs: 10_000,
    });
    try {
      return await session.query(text, [], 10_000);
    } finally {
      session.close();
    }
  }

  get report(): InstanceReport {
    return this.loop.report();
  }

  get postmaster(): number {
    const pid = readFileSync(join(this.layout.pgdata, 'postmaster.pid'), 'utf8').split('\n')[0];
    return Number(pid);
  }
}
