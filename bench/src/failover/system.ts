/** What the measurement of failovers asks of a system, so that both get the same faults and the same writer. */
import type { RunningWriter } from '@pgherd/cli/writer/start';

export type SystemName = 'pgherd' | 'patroni-default' | 'patroni-tuned';
export type Mode = 'sync' | 'async';

export type FaultName =
  | 'postmaster-killed'
  | 'pod-killed'
  | 'node-stopped'
  | 'node-frozen'
  | 'primary-isolated'
  | 'operator-down'
  | 'api-down'
  | 'switchover'
  | 'pod-deleted';

/** Makes good what a fault broke. */
export type Undo = () => Promise<void>;

export interface BenchClients {
  /** Waits until they are done; says how many of them got an error. */
  ended(): Promise<{ clients: number; failed: number }>;
}

/** Where an additional writer sits, with a session that is never given up. */
export type Place =
  /** Beside the primary, where no cut of the node's network parts them. */
  | 'inside'
  /** Elsewhere, straight to the primary's address. */
  | 'outside';

export interface System {
  readonly name: SystemName;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Sets the kind of replication; resolves once all is well. */
  prepare(mode: Mode): Promise<void>;
  /** Resolves once there is a primary and all others follow. */
  settled(): Promise<void>;
  primary(): Promise<string>;
  /** The recording writer, as an application reaches the system. Writes to the table `writes`. */
  writer(): Promise<RunningWriter>;
  /** One more, bound to that instance. Writes to the table `held`. */
  holder(instance: string, place: Place): Promise<RunningWriter>;
  /** pgbench with 8 clients; resolves once all are connected. */
  clients(): Promise<BenchClients>;
  /** The ids in a table, and none left in it afterwards. */
  drain(table: 'writes' | 'held'): Promise<number[]>;
  /** Does that to the primary; what is missing cannot happen to this system. */
  faults: Partial<Record<FaultName, (primary: string) => Promise<Undo | undefined>>>;
}

/** A session that is kept open waits this long for an answer, in milliseconds. */
export const PATIENCE_MS = 120_000;
/** After its session was ended it comes back this slowly: a server that stops waits for whoever knocks. */
export const HELD_RETRY_MS = 250;
