import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { kill } from './death.ts';
import { PostgresError } from './errors.ts';
import type { Server } from './server.ts';
import type { Session } from './sql.ts';
import { wakeReceiver } from './wake.ts';

const LOOK_MS = 2;
/** When recovery is nudged first; then after twice as long each time. */
const NUDGE_MS = 5;
/** A WAL receiver that is told to end is gone long before. */
const WAKE_MS = 500;

/**
 * Promotes a standby and resolves with its new timeline as soon as it accepts writes, without a checkpoint. The session
 * may still be opening: it only looks how far it is. It uses the trigger file and a signal instead of pg_promote(): that works with every connection taken.
 * Throws PostgresError `PromoteTimeout`, `NotRunning`.
 */
export async function promote(
  server: Server,
  pgdata: string,
  opening: Session | Promise<Session>,
  deadlineMs: number,
): Promise<number> {
  const end = performance.now() + deadlineMs;
  writeFileSync(join(pgdata, 'promote'), '');
  if (!server.signal('SIGUSR1'))
    throw new PostgresError('NotRunning', `promoting PostgreSQL in ${pgdata}: it does not run`);
  const session = await opening;
  const startup = await startupProcess(session);
  const told = performance.now();
  let nudgeMs = NUDGE_MS;
  let wakeAt = performance.now() + WAKE_MS;
  for (;;) {
    const [row] = await session.query<{ recovery: boolean }>(
      'select pg_is_in_recovery() as recovery',
      [],
      1000,
    );
    if (row?.recovery === false) break;
    if (performance.now() > end) {
      throw new PostgresError(
        'PromoteTimeout',
        `promoting PostgreSQL in ${pgdata}: still in recovery after ${deadlineMs} ms`,
      );
    }
    // Told just as its receiver ends, it waits out wal_retrieve_retry_interval, unless it is told once more.
    if (startup !== undefined && performance.now() > told + nudgeMs) {
      kill(startup, 'SIGUSR2');
      nudgeMs *= 2;
    }
    if (performance.now() > wakeAt) {
      await wakeReceiver(session);
      wakeAt = Number.POSITIVE_INFINITY;
    }
    await sleep(LOOK_MS);
  }
  return currentTimeline(session);
}

async function startupProcess(session: Session): Promise<number | undefined> {
  const [row] = await session.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'startup'",
    [],
    1000,
  );
  return row?.pid;
}

/** Timeline that a primary writes on; the control file learns of it only by the next checkpoint. */
export async function currentTimeline(session: Session): Promise<number> {
  const [row] = await session.query<{ file: string }>(
    'select pg_walfile_name(pg_current_wal_insert_lsn()) as file',
  );
  return Number.parseInt(row!.file.slice(0, 8), 16);
}
