import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { LocalError } from '../errors.ts';
import { markedEnv } from '../net/processes.ts';
import { programFile } from '../programs.ts';
import { LineReader } from '../shim/protocol.ts';
import { type StateLayout, stateLayout } from '../state.ts';
import type { LocalInfo, Progress, UpOptions } from '../types.ts';
import { askSupervisor, type ControlAnswer, type SupervisorInfo } from './control.ts';
import { checkStateFolder } from './lock.ts';
import { missingTools } from './preflight.ts';

const UP_MS = 90_000;
const STOPPING_MS = 60_000;

/** See index.ts. */
export async function up(options: UpOptions): Promise<LocalInfo> {
  const layout = stateLayout(options.state);
  checkStateFolder(layout);
  const missing = missingTools();
  if (missing) throw new LocalError(missing.code, missing.message, missing.hint);
  const running = await settled(layout);
  if (running) return takePart(layout, running, options);
  // Others may pass through, so that a pod's user reaches what was made for it; not look around.
  mkdirSync(layout.dir, { recursive: true, mode: 0o711 });
  chmodSync(layout.dir, 0o711);
  for (const dir of [layout.run, layout.logs]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  return launch(layout, options);
}

/** What runs there, once it is no longer on its way down. */
async function settled(layout: StateLayout): Promise<SupervisorInfo | undefined> {
  const end = Date.now() + STOPPING_MS;
  for (;;) {
    const found = await askSupervisor<SupervisorInfo>(layout.supervisorSocket, { op: 'info' });
    if (found?.phase !== 'stopping') return found;
    if (Date.now() > end)
      throw new LocalError('Timeout', `process ${found.pid} is still stopping local mode in ${layout.dir}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function takePart(
  layout: StateLayout,
  running: SupervisorInfo,
  options: UpOptions,
): Promise<LocalInfo> {
  if (running.phase === 'starting') throw starting(layout, running.pid);
  if (options.images) await askSupervisor(layout.supervisorSocket, { op: 'images', images: options.images });
  return { ...running.info, alreadyRunning: true };
}

function starting(layout: StateLayout, pid: number | string): LocalError {
  return new LocalError(
    'AlreadyStarting',
    `local mode in ${layout.dir} is being started already, by process ${pid}`,
    'wait for it, or choose another folder with --state DIR',
  );
}

async function launch(layout: StateLayout, options: UpOptions): Promise<LocalInfo> {
  const { nodes, images, apiPort, dieWith = Number(process.env.PGHERD_DIE_WITH) || undefined } = options;
  const log = openSync(layout.log('supervisor'), 'a', 0o600);
  const child = spawn(
    options.node ?? process.execPath,
    [
      programFile('supervisor', options.programs),
      '--state',
      layout.dir,
      '--options',
      JSON.stringify({ nodes, images, apiPort, dieWith }),
    ],
    {
      detached: true,
      stdio: ['ignore', 'pipe', log],
      env: markedEnv(layout.dir, 'supervisor', environment()),
      cwd: '/',
    },
  );
  closeSync(log);
  try {
    const { info } = await readiness(layout, child, options);
    return info;
  } finally {
    child.stdout?.destroy();
    child.unref();
  }
}

function environment(): Record<string, string> {
  const level = process.env.PGHERD_LOG_LEVEL;
  return level ? { PGHERD_LOG_LEVEL: level } : {};
}

function readiness(layout: StateLayout, child: ChildProcess, options: UpOptions): Promise<SupervisorInfo> {
  return new Promise((resolve, reject) => {
    const lines = new LineReader();
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    const timer = setTimeout(() => {
      child.kill('SIGTERM');
      fail(new LocalError('Timeout', `local mode did not come up within ${UP_MS / 1000} s`, look(layout)));
    }, UP_MS);
    options.signal?.addEventListener('abort', () => {
      child.kill('SIGTERM');
      fail(options.signal!.reason as Error);
    });
    child.once('error', fail);
    child.once('exit', (code) =>
      fail(new LocalError('ComponentFailed', `the supervisor ended with exit code ${code}`, look(layout))),
    );
    child.stdout!.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const message = JSON.parse(line) as ControlAnswer | { ready: SupervisorInfo };
        if ('progress' in message) options.onProgress?.(message.progress as Progress);
        else if ('ready' in message) {
          clearTimeout(timer);
          resolve(message.ready);
        } else if ('error' in message) {
          const { code, message: text, hint } = message.error;
          // Two at once: the other one has the lock.
          fail(code === 'AlreadyRunning' ? starting(layout, pidIn(text)) : new LocalError(code, text, hint));
        }
      }
    });
  });
}

function pidIn(text: string): string {
  return /process (\d+)/.exec(text)?.[1] ?? '(unknown)';
}

function look(layout: StateLayout): string {
  return existsSync(layout.logs) ? `look into ${layout.log('supervisor')}` : '';
}
