/** The clocks of this process, and the guard's. */
import { elapsedForHolder, type Now } from '@pgherd/ha';
import { uptimeSeconds } from '../guard-link.ts';

export function readClocks(): Now {
  return { mono: performance.now(), wall: Date.now() };
}

/** Both clocks as they stood at an earlier reading of the monotonic one. */
export function clocksAt(mono: number): Now {
  const now = readClocks();
  return { mono, wall: now.wall - (now.mono - mono) };
}

/**
 * The guard's deadline in seconds of /proc/uptime. The uptime is read first: if we are frozen in between, the
 * deadline comes out earlier, never later.
 */
export function guardDeadline(deadline: { since: Now; afterMs: number }): number {
  const uptime = uptimeSeconds();
  const left = deadline.afterMs - elapsedForHolder(deadline.since, readClocks());
  return uptime + left / 1000;
}
