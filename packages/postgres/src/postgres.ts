import { type ControlData, readControlData } from './control-data.ts';
import {
  type BaseBackup,
  baseBackup,
  type CopyTool,
  type InitdbOptions,
  initdb,
  type RewindResult,
  rewind,
  syncData,
} from './copy.ts';
import { certainDeath } from './death.ts';
import { PostgresError } from './errors.ts';
import { closeFolder, privateFolder } from './files.ts';
import { promote } from './promote.ts';
import { reloadSync } from './reload.ts';
import {
  Server,
  type ServerExit,
  type ServerState,
  type StartOptions,
  type StopOptions,
  tellingLines,
} from './server.ts';
import { LogParser, type LogRecord, plainLine } from './server-log.ts';
import {
  type RoleSettings,
  type Settings,
  startsAsStandby,
  writeRole,
  writeRoleSettings,
  writeSettings,
} from './settings.ts';
import { openSession, type Session } from './sql.ts';
import { dropReservations, reserveTimelines } from './timeline.ts';
import { killGroup, type Logger } from './tool.ts';
import { binaryVersion, dataVersion, findBinaries } from './version.ts';

export interface PostgresOptions {
  /** Folder of the binaries; found by itself when absent. */
  bin?: string;
  pgdata: string;
  /** Folder for the WAL, when it has a volume of its own. */
  walDir?: string;
  socketDir: string;
  port: number;
  log: Logger;
  /** Messages of the server; default: to `log`. */
  onServerLog?: (record: LogRecord) => void;
  /** The postmaster ended. Its backends may live on: only die() makes that certain. */
  onExit?: (exit: ServerExit) => void;
}

const SETTLE_MS = 2000;

/** One PostgreSQL: a data directory, the server on it, and the tools that work on both. */
export class Postgres {
  readonly options: PostgresOptions;
  readonly bin: string | undefined;
  readonly major: number;
  readonly version: string;
  readonly server: Server;
  readonly #tools = new Set<import('node:child_process').ChildProcess>();

  constructor(options: PostgresOptions, bin: string | undefined, version: { major: number; full: string }) {
    this.options = options;
    this.bin = bin;
    this.major = version.major;
    this.version = version.full;
    const parser = new LogParser(
      options.onServerLog ?? ((record) => options.log.info({ record }, record.message)),
    );
    this.server = new Server({
      bin,
      pgdata: options.pgdata,
      socketDir: options.socketDir,
      port: options.port,
      onLog: (line) => parser.line(line),
      onExit: (exit) => {
        parser.flush();
        options.onExit?.({ ...exit, lastLog: exit.lastLog.map(plainLine) });
      },
    });
  }

  get state(): ServerState {
    return this.server.state;
  }

  get pgdata(): string {
    return this.options.pgdata;
  }

  #tool(signal?: AbortSignal): CopyTool {
    return {
      bin: this.bin,
      ...(signal ? { signal } : {}),
      onLine: (line) => this.options.log.debug({ tool: true }, line),
      onStart: (child) => {
        this.#tools.add(child);
        child.once('close', () => this.#tools.delete(child));
      },
    };
  }

  /** Major version of the data, or undefined without any. */
  dataVersion(): Promise<number | undefined> {
    return dataVersion(this.pgdata);
  }

  /** Throws PostgresError `NoControlData`. Exact only while the server is stopped. */
  controlData(): Promise<ControlData> {
    return readControlData(this.bin, this.pgdata);
  }

  initdb(o: InitdbOptions, signal?: AbortSignal): Promise<void> {
    return initdb(this.pgdata, this.options.walDir, o, this.#tool(signal), this.major);
  }

  /** Brings the data safely to disk. */
  sync(): Promise<void> {
    return syncData(this.pgdata, this.options.walDir, this.#tool());
  }

  baseBackup(o: BaseBackup, signal?: AbortSignal): Promise<void> {
    return baseBackup(
      { ...o, pgdata: this.pgdata, walDir: this.options.walDir, major: this.major },
      this.#tool(signal),
    );
  }

  rewind(o: { source: string; sourceName: string }, signal?: AbortSignal): Promise<RewindResult> {
    return rewind({ ...o, pgdata: this.pgdata }, this.#tool(signal));
  }

  writeSettings(settings: Settings): Promise<boolean> {
    return writeSettings(this.pgdata, settings);
  }

  /** For a running server, to be followed by a reload; see writeRoleSettings. */
  writeRoleSettings(role: RoleSettings, o: { sync?: boolean } = {}): Promise<boolean> {
    return writeRoleSettings(this.pgdata, this.major, role, o);
  }

  /** For a server that is about to start. */
  async writeRole(role: RoleSettings): Promise<boolean> {
    if (role.standby) await dropReservations(this.pgdata);
    return writeRole(this.pgdata, this.major, role);
  }

  /** See startsAsStandby. */
  startsAsStandby(): Promise<void> {
    return startsAsStandby(this.pgdata, this.major);
  }

  /** See Server.start. */
  async start(o: StartOptions = {}): Promise<boolean> {
    await privateFolder(this.options.socketDir);
    await closeFolder(this.pgdata);
    try {
      return await this.server.start(o);
    } catch (error) {
      if (!(error instanceof PostgresError) || error.output.length === 0) throw error;
      const output = this.server.lastLog.map(plainLine);
      throw new PostgresError(
        error.code,
        `starting PostgreSQL in ${this.pgdata}: ${tellingLines(output).join('; ')}`,
        { output },
      );
    }
  }

  stop(o: StopOptions): Promise<void> {
    return this.server.stop(o);
  }

  /** Kills tools and server and confirms that nothing of PGDATA lives; throws PostgresError `Undead`. */
  async die(): Promise<void> {
    for (const child of this.#tools) killGroup(child, 'SIGKILL');
    await this.server.die();
  }

  /** True while any process works in the data directory. */
  alive(): boolean {
    return this.server.alive().length > 0;
  }

  /** A connection of the superuser over the local socket. */
  session(
    o: {
      database?: string;
      settings?: Record<string, string>;
      queryTimeoutMs?: number;
      connectTimeoutMs?: number;
    } = {},
  ): Promise<Session> {
    return openSession({
      host: this.options.socketDir,
      port: this.options.port,
      user: 'postgres',
      database: o.database ?? 'postgres',
      settings: { ...undisturbed(this.major), ...o.settings },
      ...(o.queryTimeoutMs === undefined ? {} : { queryTimeoutMs: o.queryTimeoutMs }),
      connectTimeoutMs: o.connectTimeoutMs ?? 1000,
    });
  }

  /** See promote. With `timeline`, the new timeline has this number, or a higher one that nobody has used. */
  async promote(
    session: Session | Promise<Session>,
    o: { deadlineMs: number; timeline?: number },
  ): Promise<number> {
    if (o.timeline !== undefined) await reserveTimelines(this.pgdata, o.timeline);
    return promote(this.server, this.pgdata, session, o.deadlineMs);
  }

  /** SIGHUP to the postmaster: settings, pg_hba, certificates. False when it does not run. */
  reload(): boolean {
    return this.server.signal('SIGHUP');
  }

  /** See reloadSync. The role file must have been written before. */
  async reloadSync(session: Session, names: string): Promise<void> {
    const pid = this.server.pid;
    if (pid === undefined)
      throw new PostgresError('NotRunning', 'reloading the synchronous standbys: PostgreSQL does not run');
    await reloadSync(session, pid, names, SETTLE_MS);
  }
}

/** What a user sets for all roles (in the spec, by ALTER ROLE ALL) must not end or refuse what we do. */
function undisturbed(major: number): Settings {
  return {
    statement_timeout: '0',
    lock_timeout: '0',
    idle_in_transaction_session_timeout: '0',
    ...(major >= 14 ? { idle_session_timeout: '0' } : {}),
    ...(major >= 17 ? { transaction_timeout: '0' } : {}),
    default_transaction_read_only: 'off',
    // A library that is not there would lock us out, and nobody could take the setting back.
    session_preload_libraries: '',
    local_preload_libraries: '',
  };
}

/** Finds the binaries and their version; throws PostgresError `BinariesMissing`. */
export async function openPostgres(options: PostgresOptions): Promise<Postgres> {
  const bin = options.bin ?? (await findBinaries(await dataVersion(options.pgdata)));
  return new Postgres(options, bin, await binaryVersion(bin));
}

export { certainDeath };
