/** pgbench beside a fault: its clients give up at the first error, so that those that got one can be counted. */
import { countFailed } from '@pgherd/e2e/pgbench-pod';
import type { BenchClients } from './system.ts';

const CLIENTS = 8;
const SECONDS = 12;

/** What loads its tables. */
export const LOAD_ARGS = ['-i', '-q', '-s', '5'];
/** What runs it for a while. */
export const RUN_ARGS = ['-n', '-c', String(CLIENTS), '-j', '2', '-T', String(SECONDS)];
/** It ends by itself within this, milliseconds. */
export const RUN_MS = (SECONDS + 60) * 1000;

/** @param ended resolves with what pgbench said on standard error */
export function benchClients(ended: Promise<string>): BenchClients {
  // A failure is told to whoever asks for the result.
  ended.catch(() => {});
  return { ended: async () => ({ clients: CLIENTS, failed: countFailed(await ended) }) };
}
