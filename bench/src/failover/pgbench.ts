/** pgbench beside a fault: its clients give up at the first error, so that those that got one can be counted. */
import { countFailed } from '@pgherd/e2e/pgbench-pod';
import type { BenchClients } from './system.ts';

export const CLIENTS = 8;
const SECONDS = 30;

/** What loads its tables. */
export const LOAD_ARGS = ['-i', '-q', '-s', '5'];
/** What runs it for a while. */
export const RUN_ARGS = ['-n', '-c', String(CLIENTS), '-j', '2', '-T', String(SECONDS)];
/** It ends by itself within this, milliseconds. */
export const RUN_MS = (SECONDS + 60) * 1000;

/** How many of its clients are connected. */
export const CONNECTED = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pgbench'";

/** @param ended resolves with what pgbench said on standard error */
export function benchClients(ended: Promise<string>): BenchClients {
  // A failure is told to whoever asks for the result.
  ended.catch(() => {});
  return { ended: async () => ({ clients: CLIENTS, failed: countFailed(await ended) }) };
}
