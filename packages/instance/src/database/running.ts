import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, type Postgres, type Session, STANDBY_MINIMUMS, wakeReceiver } from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';

const LOOK_MS = 3;
const RECEIVER_MS = 10_000;
const HELD_UP_MS = 200;
/** A WAL receiver that is told to end is gone long before. */
const WAKE_MS = 500;
const RELOAD_MS = 2000;

/** As superuser we must not run into a function that somebody has put before PostgreSQL's own. */
export const OWN_NAMES = { search_path: 'pg_catalog' };

/** A session of our own. Our writes never wait for a standby: what they do is repeated until it is there. */
export function localSession(pg: Postgres): Promise<Session> {
  return pg.session({ settings: { ...OWN_NAMES, synchronous_commit: 'local' } });
}

/** Runs with such a session. */
export async function withSession<T>(pg: Postgres, run: (session: Session) => Promise<T>): Promise<T> {
  const session = await localSession(pg);
  try {
    return await run(session);
  } finally {
    session.close();
  }
}

/**
 * Waits until the WAL receiver is gone, after a reload that took its upstream (sealed: the archive too) away.
 *
 * The receiver is started by recovery, which may be just about to do so by the old settings, and be told of the new ones
 * later than our session. So it is told once more; it has heeded that when it is seen asleep, or has replayed two records
 * since: it looks at the settings whenever it wakes, and between two records. One that is held up by a single record
 * (a query is in its way) starts nothing meanwhile, and is not waited for.
 */
export async function cutReceiver(session: Session, sealed: boolean): Promise<void> {
  const end = performance.now() + RECEIVER_MS;
  const look = async (said: (row: Recovery) => boolean) => {
    for (;;) {
      const [row] = await session.query<Recovery>(RECOVERY, [sealed]);
      if (!row || said(row)) return row;
      if (performance.now() > end) {
        throw new InstanceError(
          'FollowTimeout',
          `cutting the WAL receiver: it still runs after ${RECEIVER_MS} ms`,
        );
      }
      await sleep(LOOK_MS);
    }
  };
  const told = await look((row) => row.told);
  if (told?.pid) hangup(told.pid);
  const heldUp = performance.now() + HELD_UP_MS;
  const seen = new Set<string | null>();
  await look(
    ({ pid, asleep, replayed }) =>
      pid === null || asleep || seen.add(replayed).size > 2 || performance.now() > heldUp,
  );
  const frozen = setTimeout(() => wakeReceiver(session).catch(() => undefined), WAKE_MS);
  await look(({ receives }) => !receives).finally(() => clearTimeout(frozen));
}

interface Recovery extends Record<string, unknown> {
  /** Our session goes by the new settings. */
  told: boolean;
  /** Of the process that recovers. */
  pid: number | null;
  asleep: boolean | null;
  replayed: string | null;
  receives: boolean;
}

const RECOVERY = `select current_setting('primary_conninfo') = ''
    and (not $1 or current_setting('restore_command') = '') as told,
  r.pid, r.asleep, pg_last_wal_replay_lsn()::text as replayed,
  exists (select from pg_stat_activity where backend_type = 'walreceiver') as receives
from (select) one left join (select pid, wait_event ~ '^Recovery(WalStream|WalAll|RetrieveRetryInterval|Pause|ApplyDelay)$' as asleep
  from pg_stat_activity where backend_type = 'startup') r on true`;

function hangup(pid: number): void {
  try {
    process.kill(pid, 'SIGHUP');
  } catch {
    // It has ended, and with it all that it could have started.
  }
}

/** Ends the WAL senders of a standby that is no longer to pass anything on; resolves once these are gone. */
export async function cutSenders(session: Session): Promise<void> {
  const cut = await session.query<{ pid: number }>(
    'select pid, pg_terminate_backend(pid) from pg_stat_replication',
  );
  const pids = cut.map((row) => row.pid);
  const end = performance.now() + RECEIVER_MS;
  while (pids.length > 0) {
    const left = await session.query('select from pg_stat_replication where pid = any($1)', [pids]);
    if (left.length === 0) return;
    if (performance.now() > end) {
      throw new InstanceError(
        'FollowTimeout',
        `cutting the WAL senders: ${left.length} still run after ${RECEIVER_MS} ms`,
      );
    }
    await sleep(LOOK_MS);
  }
}

/**
 * Reloads the settings and returns whether some of them wait for a restart.
 * Throws InstanceError `BadSettings` naming the lines that PostgreSQL refused; it goes on with what it had.
 */
export async function applyReload(session: Session, pg: Postgres, log: Logger): Promise<boolean> {
  const loaded = async () => (await session.query('select pg_conf_load_time()::text as at'))[0]?.at;
  const before = await loaded();
  pg.reload();
  const end = performance.now() + RELOAD_MS;
  while ((await loaded()) === before) {
    if (performance.now() > end) break; // A file with a syntax error leaves the load time as it was.
    await sleep(LOOK_MS);
  }
  const wrong = await session.query<{ what: string }>(
    `select coalesce(name || ' = ' || setting || ': ', '') || error as what
     from pg_file_settings f where error is not null and sourcefile like '%/pgherd.conf'
       and not exists (select from pg_settings s where s.name = lower(f.name) and s.pending_restart)
     union all select 'pg_hba.conf line ' || line_number || ': ' || error from pg_hba_file_rules where error is not null`,
  );
  if (wrong.length > 0) {
    throw new InstanceError(
      'BadSettings',
      `applying the settings: ${wrong.map((row) => row.what).join('; ')}`,
      {
        hint: 'correct spec.postgresql; PostgreSQL goes on with the values it had',
      },
    );
  }
  // What standbys must not be below is not lowered by a rolling restart: whoever is promoted has it as it was.
  const [row] = await session.query<{ n: string; names: string | null }>(
    `select count(*) as n, string_agg(s.name, ', ') as names
     from pg_settings s left join pg_file_settings f on f.name = s.name and f.sourcefile like '%/pgherd.conf'
     where s.pending_restart and not (s.name = any($1) and f.setting::numeric < s.setting::numeric)`,
    [STANDBY_MINIMUMS],
  );
  if (Number(row!.n) > 0) log.info({ settings: row!.names }, 'settings wait for a restart');
  return Number(row!.n) > 0;
}
