/** pgbench beside a fault: its clients give up at the first error, so that those that got one can be counted. */
import { waitFor } from '@pgherd/cli';
import { countFailed } from '@pgherd/e2e/pgbench-pod';
import type { BenchClients } from './system.ts';

const CLIENTS = 8;
const CONNECT_MS = 60_000;
const SECONDS = 12;

/** What loads its tables. */
export const LOAD_ARGS = ['-i', '-q', '-s', '5'];
/** What runs it for a while. */
export const RUN_ARGS = ['-n', '-c', String(CLIENTS), '-j', '2', '-T', String(SECONDS)];
/** It ends by itself within this, milliseconds. */
export const RUN_MS = (SECONDS + 60) * 1000;

/** How many of its clients are connected. */
export const CONNECTED = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pgbench'";

/**
 * Resolves once all of its clients are connected.
 *
 * @param ended resolves with what pgbench said on standard error
 * @param count asks how many are connected
 */
export async function benchClients(
  ended: Promise<string>,
  count: () => Promise<number>,
): Promise<BenchClients> {
  let said: string | undefined;
  ended.then(
    (text) => {
      said = text;
    },
    (error: Error) => {
      said = error.message;
    },
  );
  await waitFor(
    async () => {
      if (said !== undefined) return true;
      return (await count()) >= CLIENTS;
    },
    { timeoutMs: CONNECT_MS, everyMs: 50, describe: () => 'pgbench is not connected' },
  );
  if (said !== undefined) throw new Error(`pgbench ended at once: ${said}`);
  return { ended: async () => ({ clients: CLIENTS, failed: countFailed(await ended) }) };
}

/** Throws unless pgbench has made its tables. */
export function checkLoaded(stderr: string): void {
  if (/error|fatal/i.test(stderr)) throw new Error(`pgbench could not make its tables: ${stderr}`);
}
