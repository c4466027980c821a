import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import type { Log } from '@pgherd/kube';
import { markedEnv, processRef } from '../net/processes.ts';
import { type StateLayout, writeJson } from '../state.ts';

const MAX_LOG = 20 * 1024 * 1024;
/** A component that ran this long is started again at once. */
const GOOD_RUN_MS = 3000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 3000;

/** One process of local mode, started again whenever it ends. */
export class Component {
  readonly name: string;
  restarts = 0;
  private readonly layout: StateLayout;
  private readonly command: () => [string, string[]];
  private readonly log: Log;
  private child: ChildProcess | undefined;
  private wanted = false;
  private waitMs = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(layout: StateLayout, name: string, log: Log, command: () => [string, string[]]) {
    this.layout = layout;
    this.name = name;
    this.log = log;
    this.command = command;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.waitMs = 0;
    this.spawn();
  }

  /** Ends it, by SIGTERM and after `graceMs` by SIGKILL, and does not start it again. */
  async stop(graceMs: number): Promise<void> {
    this.wanted = false;
    clearTimeout(this.timer);
    const { child } = this;
    if (!child?.pid) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await gone;
    clearTimeout(timer);
  }

  private spawn(): void {
    const file = this.layout.log(this.name);
    if (existsSync(file) && statSync(file).size > MAX_LOG) renameSync(file, `${file}.1`);
    const out = openSync(file, 'a', 0o600);
    const [program, args] = this.command();
    const started = performance.now();
    const level = process.env.PGHERD_LOG_LEVEL;
    const child = spawn(program, args, {
      detached: true,
      stdio: ['ignore', out, out],
      env: markedEnv(this.layout.dir, this.name, level ? { PGHERD_LOG_LEVEL: level } : {}),
      cwd: '/',
    });
    closeSync(out);
    this.child = child;
    if (child.pid) writeJson(this.layout.pid(this.name), processRef(child.pid) ?? { pid: child.pid });
    child.once('error', (error) =>
      this.log.error({ component: this.name, error: String(error) }, 'cannot start'),
    );
    child.once('exit', (code, signal) => this.ended(child, code ?? signal, performance.now() - started));
  }

  private ended(child: ChildProcess, how: unknown, ranMs: number): void {
    if (this.child === child) this.child = undefined;
    rmSync(this.layout.pid(this.name), { force: true });
    if (!this.wanted) return;
    this.waitMs =
      ranMs > GOOD_RUN_MS ? 0 : Math.min(Math.max(this.waitMs * 2, FIRST_WAIT_MS), LONGEST_WAIT_MS);
    this.restarts++;
    this.log.warn({ component: this.name, how, waitMs: this.waitMs }, 'a component ended; starting it again');
    this.timer = setTimeout(() => this.spawn(), this.waitMs);
  }
}
