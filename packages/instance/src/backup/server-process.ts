/** Keeps `pgbackrest server` running as a child: other pods reach this one's files through it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { PGBACKREST_PORT } from '@pgherd/api';
import type { Logger } from '@pgherd/postgres';
import { endStuck, onLines, toolEnv } from '@pgherd/postgres';

export interface BackrestServerOptions {
  config: string;
  log: Logger;
  /** It has ended by itself; default: it is started again, ever more slowly. */
  onEnd?: (reason: string) => void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const WELL_AFTER_MS = 60_000;
/** Connections to somebody who is gone are looked for so often. */
const STUCK_MS = 10_000;

export class BackrestServerProcess {
  readonly #o: BackrestServerOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #wanted = false;
  #waitMs = FIRST_WAIT_MS;

  constructor(options: BackrestServerOptions) {
    this.#o = options;
  }

  /** Runs it, unless it runs. */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#looking = setInterval(() => this.#endStuck(), STUCK_MS);
    this.#spawn();
  }

  /** Has it read its configuration and certificates again. */
  reload(): void {
    this.#child?.kill('SIGHUP');
  }

  stop(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
    this.#child?.kill('SIGTERM');
    this.#child = undefined;
  }

  #endStuck(): void {
    const { pid } = this.#child ?? {};
    endStuck({ port: PGBACKREST_PORT, spare: pid === undefined ? [] : [pid] }).then(
      (ended) => {
        if (ended.length > 0)
          this.#o.log.warn({ ended }, 'processes of pgBackRest talked to somebody who is gone');
      },
      (error) => this.#o.log.warn({ error: String(error) }, 'looking for connections of pgBackRest'),
    );
  }

  #spawn(): void {
    if (!this.#wanted) return;
    const { config, log } = this.#o;
    const began = performance.now();
    const args = [`--config=${config}`, '--log-level-console=off', '--log-level-stderr=warn', 'server'];
    const child = spawn('pgbackrest', args, {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
      env: toolEnv(),
    });
    this.#child = child;
    let last = '';
    onLines(child.stderr!, (line) => {
      last = line;
      log.warn({ line }, 'pgBackRest server');
    });
    let over = false;
    const ended = (reason: string): void => {
      if (over) return;
      over = true;
      if (this.#child === child) this.#child = undefined;
      if (!this.#wanted) return;
      log.error({ reason, last }, 'the pgBackRest server has ended');
      if (this.#o.onEnd) {
        this.#o.onEnd(reason);
        return;
      }
      this.#waitMs =
        performance.now() - began > WELL_AFTER_MS
          ? FIRST_WAIT_MS
          : Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
      this.#timer = setTimeout(() => this.#spawn(), this.#waitMs);
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) => ended(signal ?? `code ${code}`));
  }
}
