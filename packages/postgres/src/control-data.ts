import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresError } from './errors.ts';
import { runTool } from './tool.ts';

/** The parts of pg_control that decide something. */
export interface ControlData {
  systemID: string;
  /** `Database cluster state`, as written by pg_controldata: `shut down`, `in production`, ... */
  state: string;
  /** Location of the latest checkpoint record. */
  checkpointLsn: string;
  /** REDO location of that checkpoint. */
  redoLsn: string;
  timeline: number;
  /** Where recovery must get to before the data are consistent; 0/0 when it need not. */
  minRecoveryLsn: string;
  minRecoveryTimeline: number;
  checksums: boolean;
  walSegmentBytes: number;
  catalogVersion: number;
  /** Settings of the primary that a standby must not be below, or it refuses to run: max_connections and its kin. */
  standbyMinimums: Record<string, number>;
}

/** Settings that a hot standby needs at least as high as its primary has them, and what pg_controldata calls them. */
const CONTROL_NAMES: Record<string, string> = {
  max_connections: 'max_connections setting',
  max_worker_processes: 'max_worker_processes setting',
  max_wal_senders: 'max_wal_senders setting',
  max_prepared_transactions: 'max_prepared_xacts setting',
  max_locks_per_transaction: 'max_locks_per_xact setting',
};
export const STANDBY_MINIMUMS = Object.keys(CONTROL_NAMES);

const WRONG_CHECKSUM = /CRC checksum does not match/i;

/** True when the state says that the server was stopped in order. */
export function isCleanShutdown(state: string): boolean {
  return state === 'shut down' || state === 'shut down in recovery';
}

/** A server may be writing the file while it is read: only what stays wrong is damaged. */
const TRIES = 5;
const BETWEEN_TRIES_MS = 50;

/** Parses what pg_controldata prints in the C locale; throws PostgresError `NoControlData`. */
export function parseControlData(text: string): ControlData {
  // It prints what it found all the same, and ends well: a system identifier of 0, for example.
  if (WRONG_CHECKSUM.test(text))
    throw new PostgresError('NoControlData', 'reading pg_control: its checksum is wrong');
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf(':');
    if (at > 0) fields.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined)
      throw new PostgresError('NoControlData', `reading pg_control: it has no "${name}"`);
    return value;
  };
  return {
    systemID: field('Database system identifier'),
    state: field('Database cluster state'),
    checkpointLsn: field('Latest checkpoint location'),
    redoLsn: field("Latest checkpoint's REDO location"),
    timeline: Number(field("Latest checkpoint's TimeLineID")),
    minRecoveryLsn: field('Minimum recovery ending location'),
    minRecoveryTimeline: Number(field("Min recovery ending loc's timeline")),
    checksums: field('Data page checksum version') !== '0',
    walSegmentBytes: Number(field('Bytes per WAL segment')),
    catalogVersion: Number(field('Catalog version number')),
    standbyMinimums: Object.fromEntries(
      Object.entries(CONTROL_NAMES).flatMap(([name, label]) =>
        fields.has(label) ? [[name, Number(fields.get(label))]] : [],
      ),
    ),
  };
}

interface Reading {
  /** What pg_control held before it was read, and still after. */
  bytes: Buffer;
  result: Promise<ControlData>;
}

/** The last reading of each data directory: the same bytes say the same. */
const readings = new Map<string, Reading>();

/**
 * Reads pg_control of a data directory; throws PostgresError `NoControlData` when it cannot be read. A file with the
 * same content as at the last reading, or one that is under way, is not read again.
 */
export async function readControlData(bin: string | undefined, pgdata: string): Promise<ControlData> {
  const bytes = await controlBytes(pgdata);
  const known = readings.get(pgdata);
  if (bytes && known?.bytes.equals(bytes)) return known.result;
  const result = askControlData(bin, pgdata);
  if (!bytes) return result;
  const reading = { bytes, result };
  readings.set(pgdata, reading);
  const forget = () => readings.get(pgdata) === reading && readings.delete(pgdata);
  // Written to meanwhile: nobody knows which of the two it was that was read.
  void result.then(async () => (await controlBytes(pgdata))?.equals(bytes) || forget(), forget);
  return result;
}

function controlBytes(pgdata: string): Promise<Buffer | undefined> {
  return readFile(join(pgdata, 'global', 'pg_control')).catch(() => undefined);
}

async function askControlData(bin: string | undefined, pgdata: string): Promise<ControlData> {
  try {
    let text = '';
    for (let left = TRIES; left > 0; left--) {
      text = await runTool('pg_controldata', ['-D', pgdata], {
        bin,
        doing: `reading the control data of ${pgdata}`,
        timeoutMs: 10_000,
      });
      if (!WRONG_CHECKSUM.test(text)) break;
      if (left > 1) await sleep(BETWEEN_TRIES_MS);
    }
    return parseControlData(text);
  } catch (error) {
    if (error instanceof PostgresError && error.code === 'BinariesMissing') throw error;
    throw new PostgresError(
      'NoControlData',
      `reading the control data of ${pgdata}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
