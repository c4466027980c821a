import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { InstanceReport } from '@pgherd/api';
import { openSession } from '@pgherd/postgres';
import { quiet, until } from '@pgherd/postgres/testing';
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
  #server: ManagerServer | undefined;
  #end = new AbortController();
  readonly #cluster: TestCluster;

  constructor(cluster: TestCluster, name: string, folder: string, volume: string) {
    const serial = Number(name.slice(-1));
    this.#cluster = cluster;
    this.name = name;
    this.address = `127.0.0.${20 + serial}`;
    const run = join(folder, `run${serial}`);
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
    this.database = await openDatabase({
      instance: this.name,
      cluster: 'demo',
      layout: this.layout,
      port: ports.postgres,
      listenAddresses: this.address,
      serverName: 'demo-rw',
      log: quiet,
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
      guard: { beat: (deadline) => this.beats.push(deadline) > 0, close: () => undefined },
      peerTls: () => peerTls,
      log: quiet,
      exit: (code, why) => {
        this.exit = { code, why };
        this.stop();
      },
      peerPort: ports.manager,
    });
    this.#server = await serveManager({
      port: ports.manager,
      host: this.address,
      material,
      answers: this.loop,
    });
    this.loop.start(this.#end.signal);
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
  async superuser(text: string): Promise<void> {
    const session = await openSession({
      host: this.layout.sockets,
      port: this.#cluster.ports.postgres,
      user: 'postgres',
      database: 'app',
      connectTimeoutMs: 10_000,
    });
    try {
      await session.query(text, [], 10_000);
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
