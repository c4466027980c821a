import type { EffectiveSpec } from '@pgherd/api';
import {
  configPath,
  isCleanShutdown,
  type Logger,
  openPostgres,
  type Postgres,
  type RoleSettings,
  type ServerExit,
  type Session,
  writeDurable,
} from '@pgherd/postgres';
import { runFirstSql } from '../bootstrap/first-sql.ts';
import { ensureLoginRole, ensureReplicationRole, ensureSuperuserPassword } from '../bootstrap/roles.ts';
import { InstanceError } from '../errors.ts';
import { renderHba, renderIdent, renderLocalHba, systemUser } from './access.ts';
import type { Layout } from './layout.ts';
import { LineUp } from './line-up.ts';
import { parameters } from './parameters.ts';
import { applyReload, cutReceiver, ensureSlots } from './running.ts';
import type {
  ApplicationSecrets,
  Database,
  DatabaseView,
  ExitInfo,
  InitialiseSpec,
  ReadQuery,
  StandbyOptions,
  Upstream,
} from './types.ts';
import { slotName, type UpstreamContext, upstreamConninfo, upstreamSession } from './upstream.ts';
import { emptyData, readNote, writeNote } from './volume.ts';
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
}

/** A standby that has not come to accept connections by then goes on recovering in peace. */
const STANDBY_PATIENCE_MS = 2000;
const READ_MS = 5000;
const PROMOTE_MS = 60_000;
const CHECKPOINT_MS = 3600_000;
const BOOTSTRAP_STOP = { fastMs: 60_000, immediateMs: 5000 };

/** Opens the database of this pod; throws PostgresError `BinariesMissing`. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const exits: ((exit: ServerExit) => void)[] = [];
  const postgres = await openPostgres({
    ...(options.bin ? { bin: options.bin } : {}),
    pgdata: options.layout.pgdata,
    ...(options.layout.walDir ? { walDir: options.layout.walDir } : {}),
    socketDir: options.layout.sockets,
    port: options.port,
    log: options.log,
    ...(options.onServerLog ? { onServerLog: options.onServerLog } : {}),
    onExit: (exit) => {
      for (const callback of exits) callback(exit);
    },
  });
  const executor = new Executor(options, postgres);
  exits.push((exit) => executor.exited(exit));
  await executor.observe();
  return executor;
}

class Executor implements Database {
  readonly #o: DatabaseOptions;
  readonly #pg: Postgres;
  readonly #watcher: Watcher;
  readonly #line = new LineUp();
  readonly #callbacks: ((info: ExitInfo) => void)[] = [];
  #eff: EffectiveSpec | undefined;
  #role: RoleSettings = { standby: true, primaryConninfo: '', synchronousStandbyNames: '' };

  constructor(o: DatabaseOptions, pg: Postgres) {
    this.#o = o;
    this.#pg = pg;
    this.#watcher = new Watcher(pg, o.layout);
  }

  exited(info: ServerExit): void {
    this.#watcher.changed();
    for (const callback of this.#callbacks) callback(info);
  }

  view(): DatabaseView {
    return this.#watcher.view();
  }

  observe(): Promise<DatabaseView> {
    return this.#watcher.observe();
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

  initialise(spec: InitialiseSpec): Promise<{ systemID: string }> {
    return this.#request('initialising the data directory', async (signal) => {
      await this.#requireEmpty();
      await writeNote(this.#o.layout, 'initialising');
      await emptyData(this.#o.layout);
      await this.#pg.initdb(spec, signal);
      await this.#runBootstrap(spec, signal);
      await this.#pg.sync();
      await writeNote(this.#o.layout, 'unclaimed');
      return { systemID: (await this.#pg.controlData()).systemID };
    });
  }

  /** Nobody can connect meanwhile; nothing need survive a crash, for an interrupted attempt is thrown away. */
  async #runBootstrap(spec: InitialiseSpec, signal: AbortSignal): Promise<void> {
    this.#role = { standby: false, primaryConninfo: '', synchronousStandbyNames: '' };
    await this.#writeAll();
    await writeDurable(configPath(this.#o.layout.pgdata, 'hba'), renderLocalHba(systemUser()));
    const args = ['listen_addresses=', 'fsync=off', 'full_page_writes=off', 'ssl=off', 'autovacuum=off'];
    await this.#inPrivate(async () => {
      await this.#pg.start({ args: args.flatMap((arg) => ['-c', arg]), signal });
      await runFirstSql(spec, (database) => this.#pg.session({ database }));
    });
    if (signal.aborted) throw new InstanceError('Cancelled', 'initialising the data directory: cancelled');
  }

  claim(): Promise<void> {
    return this.#request('claiming the data directory', async () => {
      const note = await readNote(this.#o.layout);
      if (note?.phase === 'claimed') return;
      if (note?.phase !== 'unclaimed') {
        throw new InstanceError(
          'NotUnclaimed',
          `claiming ${this.#o.layout.pgdata}: it is ${note?.phase ?? 'unknown'}, not fresh`,
        );
      }
      await writeNote(this.#o.layout, 'claimed', note.incarnation);
    });
  }

  startPrimary(o: { syncNames: string }): Promise<void> {
    return this.#request('starting as primary', async (signal) => {
      this.#role = { standby: false, primaryConninfo: '', synchronousStandbyNames: o.syncNames };
      this.#watcher.follows(undefined);
      await this.#writeAll();
      await this.#pg.start({ signal });
    });
  }

  startStandby(o: StandbyOptions): Promise<{ accepting: boolean }> {
    return this.#request('starting as standby', async (signal) => {
      this.#setUpstream(o);
      await this.#writeAll();
      return { accepting: await this.#pg.start({ patienceMs: STANDBY_PATIENCE_MS, signal }) };
    });
  }

  follow(o: StandbyOptions): Promise<void> {
    return this.#request(`following ${o.upstream?.name ?? 'nobody'}`, async (signal) => {
      this.#setUpstream(o);
      await this.#pg.writeRoleSettings(this.#role);
      if (this.#pg.major < 13) {
        await this.#pg.stop(BOOTSTRAP_STOP);
        await this.#pg.start({ patienceMs: STANDBY_PATIENCE_MS, signal });
        return;
      }
      this.#pg.reload();
      if (o.upstream === null) await this.#withSession((session) => cutReceiver(session));
    });
  }

  #setUpstream(o: StandbyOptions): void {
    this.#role = {
      standby: true,
      primaryConninfo: o.upstream
        ? upstreamConninfo(o.upstream, this.#upstreamContext(), { applicationName: o.applicationName })
        : '',
      primarySlotName: slotName(this.#o.instance),
      synchronousStandbyNames: this.#role.standby ? '' : this.#role.synchronousStandbyNames,
    };
    this.#watcher.follows(o.upstream?.name);
  }

  setSync(names: string): Promise<void> {
    return this.#request('setting the synchronous standbys', () => this.#setSync(names));
  }

  async #setSync(names: string): Promise<void> {
    this.#role = { ...this.#role, synchronousStandbyNames: names };
    await this.#pg.writeRoleSettings(this.#role, { sync: false });
    if (this.#pg.state === 'stopped') return;
    await this.#withSession((session) => this.#pg.reloadSync(session, names));
  }

  ensureSlots(instances: string[]): Promise<void> {
    const wanted = instances.filter((name) => name !== this.#o.instance).map(slotName);
    return this.#request('keeping replication slots', () =>
      this.#withSession((session) => ensureSlots(session, wanted)),
    );
  }

  promote(o: { syncNames: string }): Promise<{ timeline: number }> {
    return this.#request('promoting', async () =>
      this.#withSession(async (session) => {
        this.#role = { standby: true, primaryConninfo: '', synchronousStandbyNames: o.syncNames };
        await this.#pg.writeRoleSettings(this.#role, { sync: false });
        await this.#pg.reloadSync(session, o.syncNames);
        const timeline = await this.#pg.promote(session, PROMOTE_MS);
        this.#role = { ...this.#role, standby: false };
        this.#watcher.follows(undefined);
        return { timeline };
      }),
    );
  }

  async checkpoint(): Promise<void> {
    await this.#withSession((session) => session.query('checkpoint', [], CHECKPOINT_MS));
  }

  async stop(o: { fastMs: number; immediateMs: number }): Promise<void> {
    this.#watcher.rest();
    await this.#line.interrupt(() => this.#pg.stop(o));
    this.#watcher.changed();
    await this.observe();
  }

  async die(): Promise<void> {
    await this.#line.interrupt(() => this.#pg.die());
    this.#watcher.changed();
    await this.observe();
  }

  copy(o: { source: Upstream }, signal: AbortSignal): Promise<void> {
    const run = async (ended: AbortSignal) => {
      await this.#requireEmpty();
      await writeNote(this.#o.layout, 'copying');
      this.#watcher.copying(true);
      try {
        await emptyData(this.#o.layout);
        const source = upstreamConninfo(o.source, this.#upstreamContext(), {
          applicationName: `${this.#o.instance}.copy`,
        });
        await this.#pg.baseBackup({ source, sourceName: o.source.name }, ended);
        await writeNote(this.#o.layout, 'copied');
      } finally {
        this.#watcher.copying(false);
      }
    };
    return this.#request(`copying ${o.source.name}`, run, signal);
  }

  rewind(
    o: { source: Upstream },
    signal: AbortSignal,
  ): Promise<{ discarded?: { from: string; to: string } }> {
    const run = async (ended: AbortSignal) => {
      const note = await readNote(this.#o.layout);
      await this.#waitForSource(o.source, ended);
      await this.#endRecovery(ended);
      await writeNote(this.#o.layout, 'rewinding', note?.incarnation);
      const source = upstreamConninfo(o.source, this.#upstreamContext(), {
        applicationName: `${this.#o.instance}.copy`,
        database: 'postgres',
      });
      const result = await this.#pg.rewind({ source, sourceName: o.source.name }, ended);
      await writeNote(this.#o.layout, 'claimed', note?.incarnation);
      return result.discarded ? { discarded: result.discarded } : {};
    };
    return this.#request(`rewinding to ${o.source.name}`, run, signal);
  }

  /** pg_rewind reads the source's timeline from its control file, which learns of a promotion by a checkpoint. */
  async #waitForSource(source: Upstream, signal: AbortSignal): Promise<void> {
    const session = await upstreamSession(source, this.#upstreamContext());
    const end = performance.now() + 30_000;
    try {
      for (;;) {
        const [row] = await session.query<{ ready: boolean }>(
          `select not pg_is_in_recovery() and timeline_id =
             ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as ready
           from pg_control_checkpoint()`,
        );
        if (row?.ready) return;
        if (signal.aborted || performance.now() > end) {
          throw new InstanceError(
            'SourceNotReady',
            `rewinding to ${source.name}: it has not checkpointed since its promotion`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      session.close();
    }
  }

  /** A standby that crashed must be brought to a stop in order first: pg_rewind can do that only for a primary. */
  async #endRecovery(signal: AbortSignal): Promise<void> {
    const { state } = await this.#pg.controlData();
    if (isCleanShutdown(state)) return;
    const asStandby = state === 'in archive recovery';
    this.#role = { standby: asStandby, primaryConninfo: '', synchronousStandbyNames: '' };
    await this.#writeAll();
    if (!asStandby) return;
    await this.#inPrivate(() => this.#pg.start({ args: ['-c', 'listen_addresses='], signal }));
  }

  /** Runs with a server of our own, which is stopped in the end, or killed when something fails. */
  async #inPrivate(run: () => Promise<unknown>): Promise<void> {
    this.#watcher.hide(true);
    try {
      await run();
      await this.#pg.stop(BOOTSTRAP_STOP);
    } catch (error) {
      await this.#pg.die();
      throw error;
    } finally {
      this.#watcher.hide(false);
    }
  }

  wipeForCopy(): Promise<void> {
    return this.#request('emptying the data directory', async () => {
      if (this.#pg.state !== 'stopped' || this.#pg.alive()) {
        throw new InstanceError('Busy', `emptying ${this.#o.layout.pgdata}: PostgreSQL works in it`);
      }
      await writeNote(this.#o.layout, 'copying');
      await emptyData(this.#o.layout);
    });
  }

  async #requireEmpty(): Promise<void> {
    const { data } = await this.observe();
    if (data === 'empty' || data === 'copying') return;
    throw new InstanceError(
      'DataNotEmpty',
      `writing ${this.#o.layout.pgdata} anew: it holds data (${data})`,
      {
        hint: 'wipe it first, once another instance is proven to have everything',
      },
    );
  }

  applySettings(eff: EffectiveSpec): Promise<{ pendingRestart: boolean }> {
    return this.#request('applying the settings', async () => {
      const before = this.#eff;
      this.#eff = eff;
      const { data } = this.view();
      if (data !== 'present' && data !== 'unclaimed') return { pendingRestart: false };
      const changed = await this.#writeConfig();
      if (changed && this.#pg.state === 'running') await this.#reloadSettings(before);
      return { pendingRestart: this.view().pendingRestart };
    });
  }

  /** Settings that PostgreSQL refuses are taken back: with them on disk it would not start again. */
  async #reloadSettings(before: EffectiveSpec | undefined): Promise<void> {
    try {
      const pending = await this.#withSession((session) => applyReload(session, this.#pg, this.#o.log));
      this.#watcher.pendingRestart(pending);
    } catch (error) {
      if (before && error instanceof InstanceError && error.code === 'BadSettings') {
        this.#eff = before;
        await this.#writeConfig();
        this.#pg.reload();
      }
      throw error;
    }
  }

  async #writeAll(): Promise<void> {
    await this.#writeConfig();
    await this.#pg.writeRole(this.#role);
    this.#watcher.pendingRestart(false);
  }

  async #writeConfig(): Promise<boolean> {
    const eff = this.#eff;
    if (!eff)
      throw new InstanceError('NoSettings', 'writing the settings: applySettings has not been called yet');
    const user = systemUser();
    const { pgdata } = this.#o.layout;
    const settings = parameters(eff, {
      instance: this.#o.instance,
      major: this.#pg.major,
      layout: this.#o.layout,
      port: this.#o.port,
      listenAddresses: this.#o.listenAddresses ?? '*',
    });
    const changes = [
      await this.#pg.writeSettings(settings),
      await writeDurable(configPath(pgdata, 'hba'), renderHba(eff, user)),
      await writeDurable(configPath(pgdata, 'ident'), renderIdent(eff, user)),
    ];
    return changes.includes(true);
  }

  ensureApplication(eff: EffectiveSpec, secrets: ApplicationSecrets): Promise<void> {
    return this.#request('seeing to roles and passwords', () =>
      this.#withSession(async (session) => {
        await ensureReplicationRole(session);
        await ensureSuperuserPassword(
          session,
          eff.enableSuperuserAccess ? secrets.superuser?.password : undefined,
        );
        if (secrets.app && eff.initdb.owner !== 'postgres') {
          await ensureLoginRole(session, eff.initdb.owner, secrets.app.password);
        }
      }),
    );
  }

  async reloadTls(): Promise<void> {
    this.#pg.reload();
  }

  async read<T>(run: (query: ReadQuery) => Promise<T>): Promise<T> {
    const session = await this.#pg.session({
      settings: { default_transaction_read_only: 'on' },
      queryTimeoutMs: READ_MS,
    });
    try {
      return await run((text) => session.query(text));
    } finally {
      session.close();
    }
  }

  /** Our own writes never wait for a standby: what they do is repeated until it is there. */
  async #withSession<T>(run: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.#pg.session({ settings: { synchronous_commit: 'local' } });
    try {
      return await run(session);
    } finally {
      session.close();
    }
  }

  #upstreamContext(): UpstreamContext {
    return { layout: this.#o.layout, serverName: this.#o.serverName, port: this.#o.port };
  }
}
