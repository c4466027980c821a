import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';

/** Seconds since the machine started, its sleep included: the guard's clock. */
export function uptimeSeconds(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8'));
}

/** The manager's end of the guard's FIFO. */
export interface GuardLink {
  /**
   * Tells the guard to kill everything at this time of /proc/uptime (seconds), or, with null, not to watch.
   * Returns false when the guard could not be told: then the last deadline it knows stays in force.
   */
  beat(deadline: number | null): boolean;
  close(): void;
}

/** Opens the FIFO; without a guard behind it (a test, a debugger) beats go nowhere. */
export function openGuardLink(path: string): GuardLink {
  let file: number | undefined;
  try {
    // Not blocking: a guard that does not read must not stop the manager.
    file = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    file = undefined;
  }
  return {
    beat(deadline) {
      if (file === undefined) return false;
      try {
        writeSync(file, deadline === null ? 'none\n' : `deadline ${deadline.toFixed(2)}\n`);
        return true;
      } catch {
        return false;
      }
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}
