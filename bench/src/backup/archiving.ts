/** How fast WAL gets into the archive while pgbench writes, and how much of it waits when pgbench ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '@pgherd/cli';

const DRAIN_MS = 300_000;
const MIB = 1024 * 1024;
const SEGMENT_MIB = 16;

/** A server whose WAL is archived. */
export interface Archiving {
  sql(query: string): Promise<string>;
  /** Runs pgbench for so many seconds; resolves with its transactions per second. */
  load(seconds: number): Promise<number>;
}

export interface ArchivingResult {
  tps: number;
  /** WAL that was written during the load, MiB a second. */
  writtenMiB: number;
  /** WAL files that PostgreSQL counted as archived during the load, a second, and the same in MiB. */
  archivedFiles: number;
  archivedMiB: number;
  /** WAL files that waited when the load ended; the most that waited at any look, once a second. */
  waiting: number;
  mostWaiting: number;
  /** From the end of the load until nothing waited, milliseconds. */
  drainMs: number;
  failed: number;
}

interface Look {
  bytes: number;
  archived: number;
  failed: number;
  waiting: number;
}

const QUERY = `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, archived_count, failed_count,
  (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') FROM pg_stat_archiver`;

/** Loads the server for so many seconds and looks at its archiver once a second. */
export async function measureArchiving(server: Archiving, seconds: number): Promise<ArchivingResult> {
  // A segment that was half full before is not of this load.
  await server.sql('SELECT pg_switch_wal()');
  await drained(server);
  const before = await look(server);
  const began = performance.now();
  let mostWaiting = 0;
  let loading = true;
  const loaded = server.load(seconds).finally(() => {
    loading = false;
  });
  while (loading) {
    mostWaiting = Math.max(mostWaiting, (await look(server)).waiting);
    await Promise.race([loaded.catch(() => {}), sleep(1_000)]);
  }
  const tps = await loaded;
  const after = await look(server);
  const elapsed = (performance.now() - began) / 1000;
  const ended = performance.now();
  await drained(server);
  const archivedFiles = (after.archived - before.archived) / elapsed;
  return {
    tps,
    writtenMiB: (after.bytes - before.bytes) / MIB / elapsed,
    archivedFiles,
    archivedMiB: archivedFiles * SEGMENT_MIB,
    waiting: after.waiting,
    mostWaiting: Math.max(mostWaiting, after.waiting),
    drainMs: performance.now() - ended,
    failed: after.failed - before.failed,
  };
}

async function drained(server: Archiving): Promise<void> {
  await waitFor(async () => (await look(server)).waiting === 0, {
    timeoutMs: DRAIN_MS,
    everyMs: 100,
    describe: () => 'WAL still waits for being archived',
  });
}

async function look(server: Archiving): Promise<Look> {
  const row = (await server.sql(QUERY)).split('|').map(Number);
  const [bytes = 0, archived = 0, failed = 0, waiting = 0] = row;
  return { bytes, archived, failed, waiting };
}
