import { existsSync, readdirSync, rmSync } from 'node:fs';
import { LocalError } from '../errors.ts';
import { markedProcesses } from '../net/processes.ts';
import { type StateLayout, stateLayout } from '../state.ts';
import type { DownOptions, ResetPlan } from '../types.ts';
import { askSupervisor } from './control.ts';
import { checkStateFolder, isLocked, lockOwner, lockState } from './lock.ts';
import { stopRest } from './supervisor.ts';

const GRACE_MS = 30_000;
/** Beyond the grace that pods get. */
const MARGIN_MS = 30_000;

/** See index.ts. */
export async function down(options: DownOptions): Promise<boolean> {
  const layout = stateLayout(options.state);
  if (!existsSync(layout.dir)) return false;
  checkStateFolder(layout);
  const say = options.onProgress ?? (() => {});
  const graceMs = options.graceMs ?? GRACE_MS;
  const answered = await askSupervisor(
    layout.supervisorSocket,
    { op: 'down', graceMs },
    { onProgress: say, timeoutMs: graceMs + MARGIN_MS },
  );
  if (answered !== undefined) {
    await released(layout);
    await gone(layout);
    return true;
  }
  if (markedProcesses(layout.dir).length === 0) return false;
  // The supervisor was killed: what it left behind is stopped here, under its lock.
  await released(layout);
  const lock = lockState(layout);
  try {
    await stopRest(layout, graceMs, say);
  } finally {
    lock.release();
  }
  return true;
}

async function released(layout: StateLayout): Promise<void> {
  const end = Date.now() + MARGIN_MS;
  while (isLocked(layout)) {
    if (Date.now() > end)
      throw new LocalError('Timeout', `process ${lockOwner(layout)} does not let go of ${layout.dir}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The supervisor lets go of its lock a moment before it is gone. */
async function gone(layout: StateLayout): Promise<void> {
  const end = Date.now() + 2000;
  while (markedProcesses(layout.dir).length > 0 && Date.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

/** See index.ts. */
export async function planReset(options: { state?: string }): Promise<ResetPlan> {
  const layout = stateLayout(options.state);
  const count = (dir: string): number => (existsSync(dir) ? readdirSync(dir).length : 0);
  return {
    state: layout.dir,
    exists: existsSync(layout.dir),
    running: existsSync(layout.dir) && markedProcesses(layout.dir).length > 0,
    volumes: count(layout.volumes),
    pods: count(layout.pods),
  };
}

/** See index.ts. */
export async function reset(options: DownOptions): Promise<ResetPlan> {
  const plan = await planReset(options);
  if (!plan.exists) return plan;
  const layout = stateLayout(options.state);
  checkStateFolder(layout);
  // Only what bears our mark is deleted: a wrong --state must not cost somebody's home.
  if (!existsSync(layout.config) && !existsSync(layout.lock) && readdirSync(layout.dir).length > 0)
    throw new LocalError(
      'StateUnreadable',
      `${layout.dir} is not a state folder of local mode: nothing of it is deleted`,
      'give the folder that was given to `pgherd local up`',
    );
  await down({ ...options, graceMs: options.graceMs ?? 0 });
  rmSync(layout.dir, { recursive: true, force: true, maxRetries: 3 });
  return plan;
}
