/** Three members of Patroni and one etcd, each in a network namespace of its own, joined by a router. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgres, waitFor } from '@pgherd/cli';
import type { WriterSettings } from '@pgherd/cli/writer/settings';
import { type RunningWriter, startWriter } from '@pgherd/cli/writer/start';
import { enter, type Holder, startNode, startRouter, stopHolder } from '@pgherd/local/net/namespaces';
import { markedEnv, markedProcesses, signalPid } from '@pgherd/local/net/processes';
import { setLink, setUpNode, setUpRouter } from '@pgherd/local/net/topology';
import pg from 'pg';
import { benchClients, CONNECTED, checkLoaded, LOAD_ARGS, RUN_ARGS, RUN_MS } from '../pgbench.ts';
import {
  type BenchClients,
  type FaultName,
  HELD_RETRY_MS,
  type Mode,
  PATIENCE_MS,
  type Place,
  type System,
  type SystemName,
  type Undo,
} from '../system.ts';
import { PORT, REST_PORT, TIMES, USERS } from './config.ts';
import { Etcd } from './etcd.ts';
import { Member } from './member.ts';
import { ask, membersOf, type PatroniMember } from './rest.ts';

const MEMBERS = [1, 2, 3];
const ETCD_INDEX = 9;
/** A service manager starts a service again after this, unless told otherwise (systemd's RestartSec). */
const RESTART_MS = 100;
const SETTLE_MS = 120_000;
/** Its first members are copied. */
const START_MS = 300_000;

export class PatroniSystem implements System {
  readonly name: SystemName;
  private readonly times: (typeof TIMES)[keyof typeof TIMES];
  private readonly folder = mkdtempSync(join(tmpdir(), 'pgherd-patroni-'));
  private router: Holder | undefined;
  private holders: Holder[] = [];
  private members: Member[] = [];
  private etcd: Etcd | undefined;
  private relay: ChildProcess | undefined;
  private mode: Mode = 'async';

  constructor(tuning: keyof typeof TIMES) {
    this.name = `patroni-${tuning}`;
    this.times = TIMES[tuning];
  }

  async start(): Promise<void> {
    // The unprivileged user inside must be able to walk in.
    mkdirSync(this.folder, { recursive: true });
    const router = await startRouter(this.folder);
    this.router = router;
    this.holders = [router];
    await setUpRouter(router);
    const node = async (index: number): Promise<Holder> => {
      const holder = await startNode(this.folder, router, `m${index}`);
      this.holders.push(holder);
      await setUpNode(router, holder, index);
      await setLink(router, holder, index, true);
      return holder;
    };
    this.etcd = new Etcd(this.folder, ETCD_INDEX, await node(ETCD_INDEX));
    this.etcd.start();
    const bin = postgresBin();
    for (const index of MEMBERS) {
      const member = new Member(this.folder, index, await node(index), { etcd: this.etcd.address, bin });
      member.prepare(this.times);
      this.members.push(member);
    }
    await this.startRelay(router);
    for (const member of this.members) member.start();
    await this.settled(START_MS);
    await this.makeDatabase();
  }

  async stop(): Promise<void> {
    for (const member of this.members) {
      member.signal('SIGCONT');
      member.signal('SIGKILL');
    }
    this.etcd?.kill();
    this.relay?.kill('SIGKILL');
    for (const holder of this.holders.reverse()) stopHolder(holder);
    for (const pid of markedProcesses(this.folder)) signalPid(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async prepare(mode: Mode): Promise<void> {
    this.mode = mode;
    await this.change({ synchronous_mode: mode === 'sync' });
    await this.settled();
  }

  async settled(timeoutMs = SETTLE_MS): Promise<void> {
    let seen = 'Patroni has not answered yet';
    await waitFor(
      async () => {
        const members = await this.look();
        seen = members.map((each) => `${each.name} ${each.role} ${each.state}`).join(', ');
        return isSettled(members, this.mode) && (await this.opensFor(members));
      },
      { timeoutMs, everyMs: 200, describe: () => `Patroni is not settled: ${seen}` },
    );
  }

  async primary(): Promise<string> {
    const leader = (await this.look()).find((each) => each.role === 'leader');
    if (!leader) throw new Error('Patroni has no leader');
    return leader.name;
  }

  async writer(): Promise<RunningWriter> {
    const settings = { ...this.settings('writes', 300), host: this.members.map((m) => m.address).join(',') };
    return startWriter(settings, (command) => enter(this.router as Holder, command));
  }

  async holder(instance: string, place: Place): Promise<RunningWriter> {
    const member = this.member(instance);
    const settings = {
      ...this.settings('held', PATIENCE_MS),
      retryMs: HELD_RETRY_MS,
      host: member.address,
    };
    const where = place === 'inside' ? member.holder : (this.router as Holder);
    return startWriter(settings, (command) => enter(where, command));
  }

  async clients(): Promise<BenchClients> {
    return benchClients(this.pgbench(RUN_ARGS), () =>
      this.sql(USERS.superuser, 'postgres', async (client) => {
        const { rows } = await client.query(CONNECTED);
        return Number((rows[0] as { n: string }).n);
      }),
    );
  }

  /** Runs pgbench on the member that leads; resolves with what it said on standard error. */
  private async pgbench(options: string[]): Promise<string> {
    const leader = await this.primary();
    const address = this.members.find(({ name }) => name === leader)?.address;
    const connection = `host=${address} port=${PORT} dbname=${USERS.database} user=${USERS.app}`;
    const [program, args] = enter(this.router as Holder, [
      join(postgresBin(), 'pgbench'),
      ...options,
      connection,
    ]);
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PGPASSWORD: USERS.password },
      timeout: RUN_MS,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await new Promise((resolve) => child.once('close', resolve));
    return said;
  }

  drain(table: 'writes' | 'held'): Promise<number[]> {
    return this.sql(USERS.app, USERS.database, async (client) => {
      const { rows } = await client.query(`SELECT id FROM ${table}`);
      await client.query(`TRUNCATE ${table}`);
      return rows.map((row: { id: string }) => Number(row.id));
    });
  }

  readonly faults: Partial<Record<FaultName, (primary: string) => Promise<Undo | undefined>>> = {
    'postmaster-killed': async (primary) => {
      this.member(primary).killPostmaster();
      return undefined;
    },
    'pod-killed': async (primary) => {
      this.member(primary).signal('SIGKILL');
      setTimeout(() => this.member(primary).start(), RESTART_MS);
      return undefined;
    },
    'node-stopped': async (primary) => {
      const member = this.member(primary);
      await this.link(member, false);
      member.signal('SIGKILL');
      return async () => {
        await this.link(member, true);
        member.start();
      };
    },
    'node-frozen': async (primary) => {
      this.member(primary).signal('SIGSTOP');
      return async () => this.member(primary).signal('SIGCONT');
    },
    'primary-isolated': async (primary) => {
      await this.link(this.member(primary), false);
      return () => this.link(this.member(primary), true);
    },
    'api-down': async () => {
      this.etcd?.kill();
      return async () => this.etcd?.start();
    },
    switchover: async (primary) => {
      const { status, text } = await ask(
        this.rest(primary),
        'POST',
        '/switchover',
        { leader: primary },
        60_000,
      );
      if (status !== 200) throw new Error(`Patroni refuses the switchover: ${status} ${text}`);
      return undefined;
    },
    'pod-deleted': async (primary) => {
      await this.member(primary).terminate();
      this.member(primary).start();
      return undefined;
    },
  };

  private member(name: string): Member {
    const member = this.members.find((each) => each.name === name);
    if (!member) throw new Error(`there is no member ${name}`);
    return member;
  }

  private async link(member: Member, up: boolean): Promise<void> {
    await setLink(this.router as Holder, member.holder, member.index, up);
  }

  private settings(table: string, timeoutMs: number): Omit<WriterSettings, 'host'> {
    return {
      port: PORT,
      serverName: '',
      ca: '',
      user: USERS.app,
      password: USERS.password,
      database: USERS.database,
      table,
      paceMs: 5,
      timeoutMs,
      pipeline: 0,
    };
  }

  private rest(name: string): string {
    return join(this.folder, name, 'rest.sock');
  }

  /** What the first member that answers says of all. */
  private look(): Promise<PatroniMember[]> {
    return Promise.any(this.members.map(({ name }) => membersOf(this.rest(name))));
  }

  private async change(settings: object): Promise<void> {
    const answer = await ask(this.rest(await this.primary()), 'PATCH', '/config', settings);
    if (answer.status !== 200) throw new Error(`Patroni refuses settings: ${answer.status} ${answer.text}`);
  }

  private async startRelay(router: Holder): Promise<void> {
    const pairs = this.members.flatMap(({ name, address }) => [
      `${this.rest(name)}=${address}:${REST_PORT}`,
      `${join(this.folder, name, `.s.PGSQL.${PORT + 1}`)}=${address}:${PORT}`,
    ]);
    const command = [process.execPath, join(import.meta.dirname, 'relay.ts'), ...pairs];
    const [program, args] = enter(router, command);
    const relay = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...markedEnv(this.folder, 'relay') },
    });
    this.relay = relay;
    await new Promise<void>((resolve, reject) => {
      relay.stdout.once('data', () => resolve());
      relay.once('exit', (code) => reject(new Error(`the relay ended with ${code}`)));
    });
  }

  private async makeDatabase(): Promise<void> {
    const { app, database, password, superuser } = USERS;
    await this.sql(superuser, 'postgres', async (client) => {
      await client.query(`CREATE ROLE ${app} LOGIN PASSWORD '${password}'`);
      await client.query(`CREATE DATABASE ${database} OWNER ${app}`);
    });
    await this.sql(app, database, async (client) => {
      for (const table of ['writes', 'held'])
        await client.query(
          `CREATE TABLE ${table} (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())`,
        );
    });
    checkLoaded(await this.pgbench(LOAD_ARGS));
  }

  private async opensFor(members: PatroniMember[]): Promise<boolean> {
    const leader = members.find((each) => each.role === 'leader')?.name ?? '';
    return this.sql(
      USERS.superuser,
      'postgres',
      async (client) => {
        const { rows } = await client.query(
          "SELECT count(*) FILTER (WHERE state = 'streaming') AS n, current_setting('synchronous_standby_names') AS s FROM pg_stat_replication",
        );
        const [row] = rows as { n: string; s: string }[];
        return Number(row?.n) === MEMBERS.length - 1 && (row?.s !== '') === (this.mode === 'sync');
      },
      leader,
    );
  }

  private async sql<T>(
    user: string,
    database: string,
    work: (client: pg.Client) => Promise<T>,
    member?: string,
  ): Promise<T> {
    const client = new pg.Client({
      host: join(this.folder, member ?? (await this.primary())),
      port: PORT + 1,
      user,
      password: USERS.password,
      database,
      connectionTimeoutMillis: 3_000,
    });
    client.on('error', () => {});
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }
}

function postgresBin(): string {
  const found = findPostgres();
  return found.get('15') ?? [...found.values()].at(-1) ?? '';
}

function isSettled(members: PatroniMember[], mode: Mode): boolean {
  const leader = members.filter((each) => each.role === 'leader' && each.state === 'running');
  const following = members.filter(
    (each) => each.role !== 'leader' && /^(running|streaming)$/.test(each.state) && each.lag === 0,
  );
  const synchronous = members.filter((each) => each.role === 'sync_standby');
  return (
    leader.length === 1 &&
    following.length === MEMBERS.length - 1 &&
    synchronous.length === (mode === 'sync' ? 1 : 0)
  );
}
