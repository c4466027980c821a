import type { Client } from './client.ts';
import type { Log } from './types.ts';

export interface ElectionOptions {
  client: Client;
  namespace: string;
  /** Name of the Lease. */
  name: string;
  /** Unique to this process, not only to its pod. */
  identity: string;
  /** Others may take over after this long without a renewal (default 15 000). */
  leaseMs?: number;
  /** The leader gives up after this long without a renewal that succeeded (default two thirds of leaseMs). */
  renewDeadlineMs?: number;
  /** Between attempts (default 2 000). */
  retryMs?: number;
  log?: Log;
}

/**
 * Runs `run` while we hold the Lease; its signal is aborted when we lose it or `signal` ends. Contends again
 * after a loss. Resolves after `signal`, with the Lease released; rejects with what `run` throws.
 */
export declare function runElection(
  options: ElectionOptions,
  run: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void>;
