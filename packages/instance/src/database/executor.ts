import type { EffectiveSpec, InstanceReport } from '@pgherd/api';
import {
  type Logger,
  type LogRecord,
  openPostgres,
  type Postgres,
  type ServerExit,
  type StopOptions,
} from '@pgherd/postgres';
import { ensureLoginRole, ensureReplicationRole, ensureSuperuserPassword } from '../bootstrap/roles.ts';
import { InstanceError } from '../errors.ts';
import { Config } from './config.ts';
import { claim, copy, initialise, requireSource, rewind, type Workplace } from './fresh.ts';
import type { Layout } from './layout.ts';
import { LineUp } from './line-up.ts';
import { type PromiseNote, readPromise, writePromise } from './promise-note.ts';
import { readyToStop, readyToTakeOver } from './readiness.ts';
import { boundedRecovery, type CloneSpec, type RecoverSpec } from './recover.ts';
import { cutWal, follow, hurry, promote, setSync, startPrimary, startStandby } from './roles.ts';
import { OWN_NAMES, withSession } from './running.ts';
import { seal } from './seal.ts';
import { ensureSlots, followSlots, idleSlotsOfOthers, type Slots, slotsOf } from './slots.ts';
import type {
  ApplicationSecrets,
  Database,
  DatabaseView,
  ExitInfo,
  InitialiseSpec,
  ReadQuery,
  StandbyOptions,
  Upstream,
  WalLost,
} from './types.ts';
import { slotName, upstreamSession } from './upstream.ts';
import { emptyData, writeNote } from './volume.ts';
import { Watcher } from './watcher.ts';

export interface DatabaseOptions {
  instance: string;
  cluster: string;
  layout: Layout;
  port: number;
  /** Default: all addresses. */
  listenAddresses?: string;
  /** Name in the servers' certificates. */
  serverName: string;
  bin?: string;
  log: Logger;
  onServerLog?: Parameters<typeof openPostgres>[0]['onServerLog'];
  /** Told before PostgreSQL is stopped, and before it is started. */
  archiver?: { stopping(): void; starting(): void };
}

/** By then a planned change of primary is over. */
const HURRY_MS = 15_000;
const READ_MS = 5000;
const CHECKPOINT_MS = 3600_000;
const COUNT_MS = 3600_000;

/** Opens the database of this pod; throws PostgresError `BinariesMissing`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const exits: ((exit: ServerExit) => void)[] = [];
  const listeners = new Set<(record: LogRecord) => void>();
  const postgres = await openPostgres({
    ...(options.bin ? { bin: options.bin } : {}),
    pgdata: options.layout.pgdata,
    ...(options.layout.walDir ? { walDir: options.layout.walDir } : {}),
    socketDir: options.layout.sockets,
    port: options.port,
    log: options.log,
    onServerLog: (record) => {
      for (const take of listeners) take(record);
      if (options.onServerLog) options.onServerLog(record);
      else options.log.info({ record }, record.message);
    },
    onExit: (exit) => {
      for (const callback of exits) callback(exit);
    },
  });
  const listen: Workplace['listen'] = (take) => {
    listeners.add(take);
    return () => listeners.delete(take);
  };
  const executor = new Executor(options, postgres, listen, await readPromise(options.layout));
  listen((record) => executor.heard(record));
  exits.push((exit) => executor.exited(exit));
  await executor.observe();
  return executor;
}

class Executor implements Database {
  readonly #o: DatabaseOptions;
  readonly #pg: Postgres;
  readonly #watcher: Watcher;
  readonly #config: Config;
  readonly #place: Workplace;
  readonly #line = new LineUp();
  readonly #callbacks: ((info: ExitInfo) => void)[] = [];
  #progress: InstanceReport['progress'];

  #promised: PromiseNote | undefined;
  #hurried: NodeJS.Timeout | undefined;
  #mending = false;
  /** Why the last try to mend the WAL failed. */
  #unmended: string | undefined;
  #walLost: (loss: WalLost) => void = () => undefined;

  constructor(
    o: DatabaseOptions,
    pg: Postgres,
    listen: Workplace['listen'],
    promised: PromiseNote | undefined,
  ) {
    this.#promised = promised;
    const { layout, instance, port, listenAddresses = '*', serverName } = o;
    this.#o = o;
    this.#pg = pg;
    this.#watcher = new Watcher(pg, layout, instance, (minimums) => this.#config.raised(minimums));
    this.#config = new Config(pg, { instance, major: pg.major, layout, port, listenAddresses }, o.log);
    this.#place = {
      pg,
      layout,
      config: this.#config,
      watcher: this.#watcher,
      instance,
      upstreams: { layout, serverName, port, major: pg.major },
      listen,
    };
  }

  heard(record: LogRecord): void {
    this.#watcher.heard(record);
  }

  exited(info: ServerExit): void {
    this.#watcher.changed();
    if (this.#watcher.hidden) return; // Whoever runs it in private notices.
    for (const callback of this.#callbacks) callback(info);
  }

  view(): DatabaseView {
    return this.#watcher.view();
  }

  async observe(): Promise<DatabaseView> {
    const view = await this.#watcher.observe();
    if (this.#watcher.walLost.length > 0) void this.#mendWal(this.#watcher.walLost);
    return view;
  }

  onWalLost(callback: (loss: WalLost) => void): void {
    this.#walLost = callback;
  }

  /** Never rejects; what fails is tried again at the next look, and told once. */
  async #mendWal(files: string[]): Promise<void> {
    if (this.#mending) return;
    this.#mending = true;
    const why = await withSession(this.#pg, (session) => this.#watcher.walLoss.mend(session)).then(
      () => undefined,
      (error: Error) => error.message,
    );
    if (why === undefined || why !== this.#unmended) this.#walLost({ files, ...(why ? { why } : {}) });
    this.#unmended = why;
    this.#mending = false;
  }

  onExit(callback: (info: ExitInfo) => void): void {
    this.#callbacks.push(callback);
  }

  /** Runs one request that changes something; stop() and die() end it through the signal. */
  #request<T>(what: string, run: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
    return this.#line.run(what, outer, async (signal) => {
      try {
        return await run(signal);
      } finally {
        this.#watcher.changed();
        await this.observe();
      }
    });
  }

  /** The same, of what was decided on what the last look saw: another database may have taken its place since. */
  #requestOnData<T>(what: string, run: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
    const seen = this.view();
    const checked = async (signal: AbortSignal) => {
      const { data, systemID } = await this.#watcher.data();
      if (data !== seen.data || systemID !== seen.systemID) {
        throw new InstanceError(
          'DataChanged',
          `${what}: ${this.#o.layout.pgdata} holds other data than before`,
        );
      }
      return run(signal);
    };
    return this.#request(what, checked, outer);
  }

  initialise(spec: InitialiseSpec): Promise<{ systemID: string }> {
    return this.#request('initialising the data directory', async (signal) => {
      await this.#requireEmpty();
      return initialise(this.#place, spec, signal);
    });
  }

  recover(o: RecoverSpec | CloneSpec): Promise<{ systemID: string }> {
    return this.#request('recovering', async (signal) => {
      await this.#requireEmpty();
      const log = (message: string) => this.#o.log.info({ recovery: o.id }, message);
      try {
        const recovered = await boundedRecovery(this.#place, o, {
          signal,
          onProgress: (doing, done, total, unit) => {
            if (doing !== this.#progress?.doing) log(doing);
            this.#progress = { doing, done, total, unit };
          },
          // A line of detail for every file would be too much.
          onLine: (line) => {
            if (!line.includes('DETAIL:')) log(line);
          },
        });
        log('recovered');
        return recovered;
      } finally {
        this.#progress = undefined;
      }
    });
  }

  seal(withinMs: number): Promise<{ at: string }> {
    return withSession(this.#pg, (session) => seal(session, withinMs));
  }

  async count(database: string, table: string): Promise<number> {
    const session = await this.#pg.session({ database, queryTimeoutMs: COUNT_MS });
    try {
      const [row] = await session.query<{ rows: string }>(`select count(*) as rows from ${table}`);
      return Number(row!.rows);
    } finally {
      session.close();
    }
  }

  progress(): InstanceReport['progress'] {
    return this.#progress;
  }

  claim(): Promise<void> {
    return this.#request('claiming the data directory', () => claim(this.#o.layout));
  }

  copy(o: { source: Upstream }, signal: AbortSignal): Promise<void> {
    const run = async (ended: AbortSignal) => {
      await this.#requireEmpty();
      await copy(this.#place, o.source, ended);
    };
    return this.#request(`copying ${o.source.name}`, run, signal);
  }

  rewind(
    o: { source: Upstream },
    signal: AbortSignal,
  ): Promise<{ rewound: boolean; discarded?: { from: string; to: string } }> {
    return this.#requestOnData(
      `rewinding to ${o.source.name}`,
      (ended) => rewind(this.#place, o.source, ended),
      signal,
    );
  }

  wipeForCopy(source?: Upstream): Promise<void> {
    return this.#requestOnData('emptying the data directory', async () => {
      if (source) await requireSource(this.#place, source);
      if (this.#pg.state !== 'stopped' || this.#pg.alive()) {
        throw new InstanceError('Busy', `emptying ${this.#o.layout.pgdata}: PostgreSQL works in it`);
      }
      await writeNote(this.#o.layout, 'copying');
      await emptyData(this.#o.layout);
    });
  }

  async #requireEmpty(): Promise<void> {
    const { data } = await this.#watcher.data();
    if (data === 'empty' || data === 'copying') return;
    throw new InstanceError(
      'DataNotEmpty',
      `writing ${this.#o.layout.pgdata} anew: it holds data (${data})`,
      {
        hint: 'wipe it first, once another instance is proven to have everything',
      },
    );
  }

  startPrimary(o: { syncNames: string }): Promise<void> {
    return this.#requestOnData('starting as primary', (signal) => {
      this.#o.archiver?.starting();
      return startPrimary(this.#place, o, signal);
    });
  }

  startStandby(o: StandbyOptions): Promise<{ accepting: boolean }> {
    return this.#requestOnData('starting as standby', (signal) => {
      this.#o.archiver?.starting();
      return startStandby(this.#place, o, signal);
    });
  }

  follow(o: StandbyOptions): Promise<void> {
    return this.#request(`following ${o.upstream?.name ?? 'nobody'}`, (signal) =>
      follow(this.#place, o, signal),
    );
  }

  get promised(): PromiseNote | undefined {
    return this.#promised;
  }

  cutWal(promise: PromiseNote): Promise<void> {
    return this.#requestOnData('cutting off all WAL', async () => {
      await writePromise(this.#o.layout, promise);
      this.#promised = promise;
      await cutWal(this.#place);
    });
  }

  setSync(names: string): Promise<void> {
    return this.#request('setting the synchronous standbys', () => setSync(this.#place, names));
  }

  async ensureSlots(instances: string[], primary?: Upstream): Promise<string[]> {
    const wanted = instances.filter((name) => name !== this.#o.instance).map(slotName);
    // Asked before it is our turn: a primary that has just died must not hold up a promotion.
    const theirs = primary && (await this.#slotsOf(primary).catch((error: Error) => error));
    return this.#request('keeping replication slots', () =>
      withSession(this.#pg, async (session) => {
        await ensureSlots(session, wanted);
        if (theirs instanceof Error) throw theirs;
        if (theirs) await followSlots(session, theirs);
        // What somebody took from the replicas' role is given back before they have to be copied anew.
        const [row] = await session.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
        if (row!.standby) return idleSlotsOfOthers(session);
        await ensureReplicationRole(session);
        return [];
      }),
    );
  }

  async #slotsOf(primary: Upstream): Promise<Slots> {
    const session = await upstreamSession(primary, this.#place.upstreams);
    try {
      return await slotsOf(session);
    } finally {
      session.close();
    }
  }

  promote(o: { syncNames: string; timeline?: number }): Promise<{ timeline: number }> {
    return this.#request('promoting', () => promote(this.#place, o));
  }

  async checkpoint(): Promise<void> {
    await withSession(this.#pg, (session) => session.query('checkpoint', [], CHECKPOINT_MS));
  }

  async readyToStop(standbys: (checkpoint: string) => Promise<void>): Promise<void> {
    await withSession(this.#pg, (session) => readyToStop(session, standbys));
    await this.#hurry();
  }

  async readyToTakeOver(checkpoint: string): Promise<void> {
    await withSession(this.#pg, (session) => readyToTakeOver(session, checkpoint));
    await this.#hurry();
  }

  async #hurry(): Promise<void> {
    const set = (end: boolean) =>
      this.#request('preparing a change of primary', () => hurry(this.#place, end));
    clearTimeout(this.#hurried);
    this.#hurried = setTimeout(() => set(true).catch(() => undefined), HURRY_MS).unref();
    await set(false);
  }

  async stop(o: StopOptions): Promise<void> {
    this.#watcher.rest();
    this.#o.archiver?.stopping();
    await this.#line.interrupt(() => this.#pg.stop(o));
    this.#watcher.changed();
    await this.observe();
  }

  async die(): Promise<void> {
    await this.#line.interrupt(() => this.#pg.die());
    this.#watcher.changed();
    await this.observe();
  }

  applySettings(eff: EffectiveSpec, { reload = false } = {}): Promise<{ pendingRestart: boolean }> {
    return this.#request('applying the settings', async () => {
      const before = this.#config.take(eff);
      const { data } = this.view();
      if (data !== 'present' && data !== 'unclaimed') return { pendingRestart: false };
      if (this.#pg.state === 'stopped') {
        // Every start writes them; until then nobody knows whose data these are.
        await this.#config.judge(before);
        return { pendingRestart: false };
      }
      const changed = await this.#config.write(before);
      if ((changed || reload) && this.#pg.state === 'running') {
        const pending = await withSession(this.#pg, (session) => this.#config.reload(session, before));
        this.#watcher.pendingRestart(pending);
      }
      return { pendingRestart: this.view().pendingRestart };
    });
  }

  ensureApplication(eff: EffectiveSpec, secrets: ApplicationSecrets): Promise<void> {
    const superuser = eff.enableSuperuserAccess ? secrets.superuser?.password : undefined;
    return this.#request('seeing to roles and passwords', () =>
      withSession(this.#pg, async (session) => {
        await ensureReplicationRole(session);
        await ensureSuperuserPassword(session, superuser);
        if (secrets.app && eff.initdb.owner !== 'postgres') {
          await ensureLoginRole(session, eff.initdb.owner, secrets.app.password);
        }
      }),
    );
  }

  async readFilesAgain(): Promise<void> {
    this.#pg.reload();
  }

  async read<T>(run: (query: ReadQuery) => Promise<T>): Promise<T> {
    const settings = { ...OWN_NAMES, default_transaction_read_only: 'on' };
    const session = await this.#pg.session({ settings, queryTimeoutMs: READ_MS });
    try {
      return await run((text) => session.query(text));
    } finally {
      session.close();
    }
  }
}
