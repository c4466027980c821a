import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Pod } from '@pgherd/kube';
import { isAlive } from '../net/processes.ts';
import { connectShim, readShimState } from '../shim/client.ts';
import type { StateLayout } from '../state.ts';

const DEFAULT_GRACE_S = 30;
/** A shim whose containers are all dead ends within this. */
const END_MS = 5000;

/** Stops every pod of a state folder: SIGTERM to all at once, SIGKILL to what outlives its grace. */
export async function stopPods(layout: StateLayout, graceMs: number): Promise<number> {
  const uids = existsSync(layout.pods) ? readdirSync(layout.pods) : [];
  const stopped = await Promise.all(uids.map((uid) => stopPod(layout, uid, graceMs)));
  return stopped.filter(Boolean).length;
}

async function stopPod(layout: StateLayout, uid: string, graceMs: number): Promise<boolean> {
  const paths = layout.pod(uid);
  const state = readShimState(paths.shim);
  if (!state || !isAlive(state.shim)) return false;
  const running = new Set<string>();
  const settled = Promise.withResolvers<void>();
  const check = (): void => {
    if (running.size === 0) settled.resolve();
  };
  try {
    const shim = await connectShim(
      paths.socket,
      ({ event, record }) => {
        if (event === 'exited') running.delete(record.id);
        check();
      },
      () => settled.resolve(),
    );
    const answer = await shim.ask({ op: 'watch' });
    for (const record of answer.state!.containers) {
      if (record.finishedAt) continue;
      running.add(record.id);
      await shim.ask({ op: 'signal', name: record.name, signal: 'SIGTERM' });
    }
    check();
    const timer = setTimeout(() => settled.resolve(), Math.min(graceMs, graceOf(paths.pod)));
    await settled.promise;
    clearTimeout(timer);
    await shim.ask({ op: 'end' }).catch(() => {});
    const end = Date.now() + END_MS;
    while (isAlive(state.shim) && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
    shim.close();
  } catch {
    // A shim that does not answer is killed with everything else.
  }
  return true;
}

function graceOf(file: string): number {
  try {
    const pod = JSON.parse(readFileSync(file, 'utf8')) as Pod;
    return (pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_S) * 1000;
  } catch {
    return DEFAULT_GRACE_S * 1000;
  }
}
