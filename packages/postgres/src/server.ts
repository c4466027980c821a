import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readControlData } from './control-data.ts';
import { certainDeath, folderIdentity, processesIn } from './death.ts';
import { PostgresError } from './errors.ts';
import { attendStop } from './last-steps.ts';
import { standstill } from './standstill.ts';
import { onLines, toolEnv, toolPath } from './tool.ts';

export type ServerState = 'stopped' | 'starting' | 'running' | 'stopping';

export interface ServerExit {
  code: number | null;
  signal: string | null;
  expected: boolean;
  lastLog: string[];
}

export interface ServerOptions {
  bin: string | undefined;
  pgdata: string;
  socketDir: string;
  port: number;
  /** Every line of the server's stderr, which is its log. */
  onLog: (line: string) => void;
  onExit: (exit: ServerExit) => void;
}

export interface StartOptions {
  args?: string[];
  patienceMs?: number;
  stillMs?: number;
  signal?: AbortSignal;
}

export interface StopOptions {
  fastMs: number;
  immediateMs: number;
  /** Another server has all WAL and archives it: the archiver of a primary is not waited for. */
  leaveArchiver?: boolean | undefined;
}

/** Time between two looks at postmaster.pid: short at first, for a start takes some 30 ms. */
const FIRST_LOOKS_MS = 4;
const LATER_LOOKS_MS = 25;
const FIRST_PERIOD_MS = 3000;
const DEATH_MS = 1000;
const LOG_LINES = 20;

/** The lines of a log that say why a start failed: the errors, and what is wrong with which setting. */
export function tellingLines(log: string[]): string[] {
  const telling = log.filter((line) =>
    /FATAL|PANIC|ERROR|HINT|cannot run|parameter|syntax error|configuration/.test(line),
  );
  return (telling.length > 0 ? telling : log).slice(-4);
}

/** The postmaster as a child process: started, watched, stopped with deadlines that escalate. */
export class Server {
  readonly #o: ServerOptions;
  #child: ChildProcess | undefined;
  #state: ServerState = 'stopped';
  #expected = false;
  #log: string[] = [];
  #exited: Promise<void> = Promise.resolve();
  /** The directories that we started a server in, whatever they are called by now. */
  readonly #homes = new Set<string>();

  constructor(o: ServerOptions) {
    this.#o = o;
  }

  get state(): ServerState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Numbers of the processes that work in the data directory. */
  alive(): number[] {
    return processesIn(this.#o.pgdata, this.#homes);
  }

  /** Last lines of the log since the start. */
  get lastLog(): string[] {
    return [...this.#log];
  }

  /**
   * Starts the postmaster and waits until it accepts connections.
   * With `patienceMs`, a server that is still replaying by then counts as started: the answer is false.
   * With `stillMs`, no more WAL comes: one whose recovery has come to no other WAL file for so long is given up, or
   * that has said for some seconds that it waits for more.
   * Throws PostgresError `AlreadyRunning`, `StartFailed` (with the log's last lines), `StartTimeout`, `Cancelled`.
   */
  async start(o: StartOptions = {}): Promise<boolean> {
    const alive = this.alive();
    if (this.#child || alive.length > 0) {
      throw new PostgresError(
        'AlreadyRunning',
        `starting PostgreSQL in ${this.#o.pgdata}: processes ${alive.join(', ')} work there`,
        {
          hint: 'make their death certain first',
        },
      );
    }
    const home = folderIdentity(this.#o.pgdata);
    if (home) this.#homes.add(home);
    this.#removeLocks();
    this.#log = [];
    this.#expected = false;
    this.#state = 'starting';
    this.#spawn(o.args ?? []);
    return this.#waitReady(o);
  }

  #spawn(args: string[]): void {
    const child = spawn(toolPath(this.#o.bin, 'postgres'), ['-D', this.#o.pgdata, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: '/',
      env: toolEnv(),
    });
    this.#child = child;
    const log = (line: string) => {
      this.#log.push(line);
      if (this.#log.length > LOG_LINES) this.#log.shift();
      this.#o.onLog(line);
    };
    onLines(child.stderr, log);
    onLines(child.stdout, log);
    this.#exited = new Promise((resolve) => {
      const ended = (code: number | null, signal: string | null) => {
        if (this.#child !== child) return;
        this.#child = undefined;
        this.#state = 'stopped';
        resolve();
        this.#o.onExit({ code, signal, expected: this.#expected, lastLog: this.lastLog });
      };
      child.once('exit', ended);
      child.once('error', (error) => {
        log(`cannot run postgres: ${error.message}`);
        ended(null, null);
      });
    });
  }

  /**
   * A container restart keeps the files but starts the process numbers anew, so that the number in a stale
   * lock file is likely to be alive: PostgreSQL would refuse to start. Nobody works in PGDATA; they are stale.
   */
  #removeLocks(): void {
    rmSync(join(this.#o.pgdata, 'postmaster.pid'), { force: true });
    const socket = join(this.#o.socketDir, `.s.PGSQL.${this.#o.port}`);
    rmSync(socket, { force: true });
    rmSync(`${socket}.lock`, { force: true });
  }

  /** Line 8 of postmaster.pid: `starting`, `stopping`, `ready` or `standby`; undefined before it is there. */
  statusLine(): string | undefined {
    try {
      const lines = readFileSync(join(this.#o.pgdata, 'postmaster.pid'), 'utf8').split('\n');
      return Number(lines[0]) === this.pid ? lines[7]?.trim() : undefined;
    } catch {
      return undefined;
    }
  }

  async #waitReady({ patienceMs, stillMs, signal }: StartOptions): Promise<boolean> {
    const begin = performance.now();
    const said = () => this.#log.at(-1) ?? '';
    const still = stillMs === undefined ? undefined : standstill(this.#o.pgdata, stillMs, said);
    for (;;) {
      if (!this.#child) {
        // The pipe may still hold the reason.
        await sleep(5);
        throw new PostgresError(
          'StartFailed',
          `starting PostgreSQL in ${this.#o.pgdata}: ${this.#reason()}`,
          {
            output: this.lastLog,
          },
        );
      }
      if (signal?.aborted)
        throw new PostgresError('Cancelled', `starting PostgreSQL in ${this.#o.pgdata}: cancelled`);
      if (this.statusLine() === 'ready') {
        if (this.#state === 'starting') this.#state = 'running';
        return true;
      }
      const waited = performance.now() - begin;
      const inVain = still?.();
      if (inVain)
        throw new PostgresError(
          'StartTimeout',
          `starting PostgreSQL in ${this.#o.pgdata}: its recovery has waited for WAL for ${inVain / 1000} s`,
        );
      if (patienceMs !== undefined && waited > patienceMs) {
        void this.#becomeReady();
        return false;
      }
      await sleep(waited < FIRST_PERIOD_MS ? FIRST_LOOKS_MS : LATER_LOOKS_MS);
    }
  }

  /** After an impatient start: goes on looking until the state is decided. */
  async #becomeReady(): Promise<void> {
    const child = this.#child;
    while (this.#child === child && this.#state === 'starting') {
      if (this.statusLine() === 'ready') this.#state = 'running';
      else await sleep(LATER_LOOKS_MS);
    }
  }

  #reason(): string {
    return tellingLines(this.#log).join('; ') || 'it ended without a word';
  }

  /** Sends a signal to the postmaster, if it runs. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#child?.kill(signal) ?? false;
  }

  /**
   * Fast shutdown; immediate after fastMs; SIGKILL to everything after immediateMs more.
   * Resolves when no process works in PGDATA. Throws PostgresError `Undead`.
   */
  async stop(o: StopOptions): Promise<void> {
    this.#expected = true;
    if (this.#child) {
      this.#state = 'stopping';
      this.#child.kill('SIGINT');
      const attended = attendStop(this.#o.pgdata, {
        postmaster: this.#child.pid!,
        leaveArchiver: o.leaveArchiver ?? false,
        // Whoever asks next gets it from memory.
        onShutDown: () => void readControlData(this.#o.bin, this.#o.pgdata).catch(() => undefined),
      });
      if (!(await this.#exitWithin(o.fastMs).finally(attended))) {
        this.#child?.kill('SIGQUIT');
        await this.#exitWithin(o.immediateMs);
      }
    }
    await this.die();
  }

  /** Certain death: see certainDeath. Also after an exit that nobody asked for. */
  async die(): Promise<void> {
    this.#expected = true;
    this.#child?.kill('SIGKILL');
    await certainDeath(this.#o.pgdata, DEATH_MS, this.#homes);
    this.#homes.clear();
    await this.#exitWithin(DEATH_MS);
    this.#removeLocks();
  }

  async #exitWithin(ms: number): Promise<boolean> {
    if (!this.#child) return true;
    const late = new AbortController();
    try {
      return await Promise.race([
        this.#exited.then(() => true),
        sleep(ms, false, { signal: late.signal }).catch(() => false),
      ]);
    } finally {
      late.abort();
    }
  }
}
