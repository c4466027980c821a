import type { InstanceReport } from '@pgherd/api';
import { highestHistory, readHistory, type Session, STANDBY_MINIMUMS } from '@pgherd/postgres';
import type { DatabaseView } from './types.ts';
import type { WalPosition } from './wal-loss.ts';

/**
 * One query, for it runs every second or two. `.copy` is what a copying instance calls its connections. What recovery
 * waits for is looked at before how far it is: the other way round, what it replays in between would be left out.
 */
const QUERY = `
select r.recovery,
  case when r.recovery then null else pg_current_wal_lsn()::text end as current_lsn,
  case when r.recovery then null else pg_walfile_name(pg_current_wal_insert_lsn()) end as wal_file,
  pg_last_wal_receive_lsn()::text as received_lsn,
  pg_last_wal_replay_lsn()::text as replayed_lsn,
  w.status as receiver, w.received_tli,
  (w.last_msg_send_time is distinct from w.last_msg_receipt_time
    or exists (select from pg_stat_activity a where a.pid = w.pid and a.wait_event = 'WalReceiverMain'))
  and (r.patience = '0' or w.last_msg_receipt_time > clock_timestamp() - 2 * r.patience) as receives,
  c.timeline_id as control_timeline, c.redo_wal_file,
  (select min_recovery_end_timeline from pg_control_recovery()) as recovery_timeline,
  r.startup_wait,
  current_setting('synchronous_standby_names') as sync_names,
  json_build_object(${STANDBY_MINIMUMS.map((name) => `'${name}', current_setting('${name}')::int`).join(', ')}) as minimums,
  (select json_agg(json_build_object('name', application_name, 'address', host(client_addr), 'state', state,
     'syncState', sync_state, 'sentLsn', sent_lsn, 'flushLsn', flush_lsn, 'replayLsn', replay_lsn)
     order by application_name)
   from pg_stat_replication where application_name not like '%.copy') as replication
from (select pg_is_in_recovery() as recovery,
    current_setting('wal_receiver_timeout')::interval as patience,
    (select wait_event from pg_stat_activity where backend_type = 'startup') as startup_wait) r
  left join pg_stat_wal_receiver w on true
  cross join pg_control_checkpoint() c`;

interface Answer extends Record<string, unknown> {
  recovery: boolean;
  current_lsn: string | null;
  wal_file: string | null;
  received_lsn: string | null;
  replayed_lsn: string | null;
  receiver: string | null;
  received_tli: number | null;
  /**
   * The receiver is past its introduction: it has had a message, or sleeps in the loop where it gets them. And the last
   * message is not older than a receiver that is awake bears: one that stands still goes on calling itself streaming.
   */
  receives: boolean;
  control_timeline: number;
  redo_wal_file: string;
  recovery_timeline: number | null;
  /** Only in recovery there is such a process. */
  startup_wait: string | null;
  sync_names: string;
  minimums: Record<string, number>;
  replication: { [K in keyof InstanceReport['replication'][number]]: string | null }[] | null;
}

export type SqlView = Pick<
  DatabaseView,
  | 'inRecovery'
  | 'currentLsn'
  | 'receivedLsn'
  | 'replayedLsn'
  | 'replayedAll'
  | 'streaming'
  | 'receiverRunning'
  | 'replication'
  | 'syncNames'
  | 'minimums'
  | 'timeline'
  | 'branch'
> & {
  /** Of a primary. */
  wal?: WalPosition;
};

/** What the running server says of itself; throws PostgresError when it does not answer in time. */
export async function observeSql(session: Session, pgdata: string, timeoutMs: number): Promise<SqlView> {
  const [row] = await session.query<Answer>(QUERY, [], timeoutMs);
  const newest = row!.receiver === 'streaming' ? await highestHistory(pgdata) : 0;
  return { ...toView(row!, newest), ...(await branchOf(row!, pgdata)) };
}

/** Where a primary's timeline began, by its own history file. */
async function branchOf(row: Answer, pgdata: string): Promise<Pick<SqlView, 'branch'>> {
  if (row.wal_file === null) return {};
  const parent = (await readHistory(pgdata, timelineOf(row))).at(-1);
  return parent ? { branch: { parent: parent.timeline, start: parent.end } } : {};
}

/**
 * What PostgreSQL calls streaming begins before the receiver has been introduced to its upstream, and a standby
 * whose history has parted is sent the old timeline up to the fork, again and again. The receiver fetches the
 * histories of newer timelines during its introduction: who receives an older one after that does not follow.
 */
function follows(row: Answer, newest: number): boolean {
  return row.receiver === 'streaming' && row.receives && (row.received_tli ?? 0) >= newest;
}

function toView(row: Answer, newest: number): SqlView {
  return {
    inRecovery: row.recovery,
    timeline: timelineOf(row),
    ...present({ currentLsn: row.current_lsn, receivedLsn: row.received_lsn, replayedLsn: row.replayed_lsn }),
    // These two waits are where recovery sits once it has read everything there is.
    ...(row.recovery
      ? { replayedAll: /^Recovery(WalStream|WalAll|RetrieveRetryInterval)$/.test(row.startup_wait ?? '') }
      : {}),
    streaming: follows(row, newest),
    receiverRunning: row.receiver !== null,
    replication: (row.replication ?? []).map((r) => present(r)) as unknown as InstanceReport['replication'],
    syncNames: row.sync_names,
    minimums: row.minimums,
    ...(row.wal_file === null ? {} : { wal: walOf(row, row.wal_file) }),
  };
}

/** Until its first checkpoint a timeline begins in a segment of the one before, which has another name by then. */
function walOf(row: Answer, segment: string): WalPosition {
  const timeline = timelineOf(row);
  const redo = row.control_timeline === timeline ? { redo: row.redo_wal_file } : {};
  return { timeline, segment, ...redo };
}

/** The control file lags behind: it learns of a new timeline with the next checkpoint or restart point. */
function timelineOf(row: Answer): number {
  if (row.wal_file !== null) return Number.parseInt(row.wal_file.slice(0, 8), 16);
  return Math.max(row.control_timeline, row.recovery_timeline ?? 0, row.received_tli ?? 0);
}

function present<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
