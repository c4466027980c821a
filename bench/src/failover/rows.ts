/** What is measured: the faults, in which kind of replication, and what is aimed at. */
import type { FaultName, Mode, Place } from './system.ts';

export interface Row {
  /** Unique, for the table and --only. */
  name: string;
  title: string;
  fault: FaultName;
  mode: Mode;
  /** The aim for pgherd, in seconds of write outage. */
  aim: number;
  /** How long the fault lasts, where that is not up to the system, in milliseconds. */
  lastsMs?: number;
  /** pgbench runs beside it. */
  load?: true;
  /** A session to the primary that is never given up, and where it sits. */
  held?: Place;
  /**
   * Decided by waiting times of ten seconds and more: measured on all systems at once. All else has the machine
   * for itself.
   */
  slow?: true;
}

/** Longer than the leases of pgherd and of tuned Patroni, so that there is a new primary when the old one thaws. */
const FROZEN_MS = 25_000;
const API_AWAY_MS = 60_000;

export const rows: Row[] = [
  {
    name: 'postmaster-killed-sync',
    title: 'kill -9 of the postmaster',
    fault: 'postmaster-killed',
    mode: 'sync',
    aim: 0.4,
  },
  {
    name: 'pod-killed',
    title: 'kill -9 of everything in the pod',
    fault: 'pod-killed',
    mode: 'sync',
    aim: 1.5,
  },
  { name: 'switchover', title: 'switchover, idle', fault: 'switchover', mode: 'sync', aim: 0.3 },
  {
    name: 'switchover-load',
    title: 'switchover under pgbench -c 8',
    fault: 'switchover',
    mode: 'sync',
    aim: 0.5,
    load: true,
  },
  { name: 'pod-deleted', title: 'pod deleted, node drained', fault: 'pod-deleted', mode: 'sync', aim: 0.5 },
  {
    name: 'node-stopped',
    title: 'node stopped without a word',
    fault: 'node-stopped',
    mode: 'sync',
    aim: 4,
    slow: true,
  },
  {
    name: 'operator-down',
    title: 'the same, operator down',
    fault: 'operator-down',
    mode: 'sync',
    aim: 4,
    slow: true,
  },
  {
    name: 'node-frozen-sync',
    title: 'node frozen 25 s, then thawed',
    fault: 'node-frozen',
    mode: 'sync',
    aim: 4,
    lastsMs: FROZEN_MS,
    held: 'outside',
    slow: true,
  },
  {
    name: 'isolated-sync',
    title: 'primary isolated',
    fault: 'primary-isolated',
    mode: 'sync',
    aim: 4,
    held: 'inside',
    slow: true,
  },
  {
    name: 'api-down',
    title: 'API (etcd) down 60 s',
    fault: 'api-down',
    mode: 'sync',
    aim: 0,
    lastsMs: API_AWAY_MS,
    slow: true,
  },
  {
    name: 'postmaster-killed-async',
    title: 'kill -9 of the postmaster',
    fault: 'postmaster-killed',
    mode: 'async',
    aim: 0.4,
  },
  {
    name: 'node-frozen-async',
    title: 'node frozen 25 s, then thawed',
    fault: 'node-frozen',
    mode: 'async',
    aim: 11,
    lastsMs: FROZEN_MS,
    held: 'outside',
    slow: true,
  },
  {
    name: 'isolated-async',
    title: 'primary isolated',
    fault: 'primary-isolated',
    mode: 'async',
    aim: 11,
    held: 'inside',
    slow: true,
  },
];
