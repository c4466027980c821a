/**
 * The supervisor as a process: `main.ts --state DIR --options JSON`. Writes progress, then `{"ready":...}` or
 * `{"error":...}`, as JSON lines on standard output; its log goes to standard error.
 */
import { mkdirSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { isAlive, processRef } from '../net/processes.ts';
import { stateLayout } from '../state.ts';
import type { Progress } from '../types.ts';
import { asAnswer, serveControl } from './control.ts';
import { lockState, type StateLock } from './lock.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

const WATCH_MS = 300;

const { values } = parseArgs({
  options: { state: { type: 'string' }, options: { type: 'string', default: '{}' } },
});
const layout = stateLayout(values.state!);
const options = JSON.parse(values.options) as SupervisorOptions & { dieWith?: number };
const log = pino({ base: { component: 'supervisor' } }, pino.destination({ fd: 2, sync: true }));
for (const dir of [layout.run, layout.logs]) mkdirSync(dir, { recursive: true, mode: 0o700 });

/** Who started us may be gone. */
function tell(message: object): void {
  try {
    writeSync(1, `${JSON.stringify(message)}\n`);
  } catch {
    // Nobody reads any more.
  }
}

process.on('uncaughtException', (error) => log.error({ error: error.stack }, 'unexpected'));
process.on('unhandledRejection', (error) => log.error({ error: String(error) }, 'unexpected'));

let lock: StateLock;
try {
  lock = lockState(layout);
} catch (error) {
  tell({ error: asAnswer(error) });
  process.exit(3);
}

const supervisor = new Supervisor(layout, log);
const control = serveControl(layout.supervisorSocket, async (request, onProgress) => {
  if (request.op === 'info') return supervisor.info();
  if (request.op === 'node') return supervisor.nodeAction(request.action, request.name, request.spare);
  if (request.op === 'api') return supervisor.apiAction(request.action);
  if (request.op === 'images') {
    supervisor.addImages(request.images as NonNullable<SupervisorOptions['images']>);
    return null;
  }
  await supervisor.stop(request.graceMs, onProgress);
  setImmediate(() => setTimeout(() => leave(0), 10));
  return null;
});

for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => void end(30_000, 0));
process.on('SIGHUP', () => {});
if (options.dieWith) watchParent(options.dieWith);

try {
  await supervisor.start(options, (progress: Progress) => tell({ progress }));
  tell({ ready: supervisor.info() });
} catch (error) {
  log.error({ error: error instanceof Error ? error.stack : String(error) }, 'cannot start');
  tell({ error: asAnswer(error) });
  await end(0, 1);
}

async function end(graceMs: number, code: number): Promise<void> {
  await supervisor.stop(graceMs, () => {});
  leave(code);
}

function leave(code: number): void {
  control.close();
  lock.release();
  process.exit(code);
}

function watchParent(pid: number): void {
  const parent = processRef(pid);
  const timer = setInterval(() => {
    if (isAlive(parent)) return;
    clearInterval(timer);
    void end(0, 0);
  }, WATCH_MS);
}
