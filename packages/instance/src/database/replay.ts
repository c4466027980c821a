/** Replays WAL on a private socket, and tells where that ended. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresError, type RecoveryTarget, ReplayLog, writeDurable } from '@pgherd/postgres';
import { inPrivate, type Workplace } from './fresh.ts';

export interface ReplayFacts {
  time?: string;
  lsn: string;
  xid: string;
  stopped?: string;
  timeline: number;
}

/** True for a target other than the end of the archive. */
export function isTargeted({ time, lsn, xid, name, immediate }: RecoveryTarget): boolean {
  return Boolean(time || lsn || xid || name || immediate);
}

/** The settings that make PostgreSQL end its replay there, and open. */
export function targetSettings(target: RecoveryTarget): string[] {
  const { time, lsn, xid, name, immediate, exclusive } = target;
  const settings: string[] = [];
  if (time) settings.push(`recovery_target_time=${time.text}`);
  else if (lsn) settings.push(`recovery_target_lsn=${lsn}`);
  else if (xid) settings.push(`recovery_target_xid=${xid}`);
  else if (name) settings.push(`recovery_target_name=${name}`);
  else if (immediate) settings.push('recovery_target=immediate');
  if (settings.length > 0) settings.push('recovery_target_action=promote');
  if (exclusive) settings.push('recovery_target_inclusive=off');
  return settings;
}

/** PostgreSQL gave up while it replayed. */
export class ReplayFailed extends Error {
  readonly log: ReplayLog;
  constructor(cause: PostgresError, log: ReplayLog) {
    super(cause.message, { cause });
    this.log = log;
  }
}

/** Nothing need survive a crash, for an interrupted try is restored again; and nobody can connect. */
const PRIVATE = [
  'listen_addresses=',
  'fsync=off',
  'ssl=off',
  'autovacuum=off',
  // Nothing is archived before the cluster has recorded its leader; what is to be archived stays marked.
  'archive_command=',
  // With "always", what was fetched would be marked to be archived once more.
  'archive_mode=on',
  // Without it, settings lower than those of the backed up server do not stop the replay.
  'hot_standby=off',
  'synchronous_standby_names=',
  'max_logical_replication_workers=0',
];

/** Runs a server that replays to its target and promotes there; then asks it where it is, and stops it. */
export async function replay(
  w: Workplace,
  settings: string[],
  signal: AbortSignal,
): Promise<{ facts: ReplayFacts; log: ReplayLog }> {
  await w.config.writeAll({ standby: false, primaryConninfo: '', synchronousStandbyNames: '' });
  await w.config.closeDoors();
  await writeDurable(join(w.layout.pgdata, 'recovery.signal'), '');
  const log = new ReplayLog();
  const untap = w.listen((record) => log.take(record));
  let facts: ReplayFacts | undefined;
  try {
    await inPrivate(w, async () => {
      await w.pg.start({ args: [...PRIVATE, ...settings].flatMap((each) => ['-c', each]), signal });
      facts = await whereItIs(w, log);
    });
  } catch (error) {
    // The last lines may still be on their way.
    await sleep(100);
    if (error instanceof PostgresError && error.code === 'StartFailed') throw new ReplayFailed(error, log);
    throw error;
  } finally {
    untap();
  }
  return { facts: facts!, log };
}

/** The youngest transaction that is there: a number may have been given to one that had not committed yet. */
const LAST_COMMITTED = `select coalesce(max(x) filter (where txid_status(x) = 'committed'), max(x))
  from (select txid_snapshot_xmax(txid_current_snapshot()) as xmax) as s,
    generate_series(greatest(xmax - 1000, 3), xmax - 1) as x`;

async function whereItIs({ pg }: Workplace, log: ReplayLog): Promise<ReplayFacts> {
  const session = await pg.session();
  try {
    const [row] = await session.query<{
      time: Date | null;
      lsn: string | null;
      xid: string;
      now: string;
      file: string;
    }>(
      `select pg_last_xact_replay_timestamp() as time, pg_last_wal_replay_lsn()::text as lsn,
         (${LAST_COMMITTED})::text as xid, pg_current_wal_lsn()::text as now,
         pg_walfile_name(pg_current_wal_insert_lsn()) as file`,
    );
    const { stopped } = log.replay;
    return {
      ...(row!.time ? { time: new Date(row!.time).toISOString() } : {}),
      lsn: row!.lsn ?? row!.now,
      xid: /stopping after commit of transaction (\d+)/.exec(stopped ?? '')?.[1] ?? row!.xid,
      ...(stopped ? { stopped } : {}),
      timeline: Number.parseInt(row!.file.slice(0, 8), 16),
    };
  } finally {
    session.close();
  }
}
