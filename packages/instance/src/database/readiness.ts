/** Before a planned change of primary: what would cost time while nobody can write is done while everybody still can. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Session } from '@pgherd/postgres';

const MIB = 1 << 20;
/** So much is written at once: a commit that comes after it hardly notices. */
const PIECE = MIB / 2;
/** What is left of the segment at the checkpoint, for what is written while it lasts; and at the stop. */
const LEFT_AT_CHECKPOINT = 2 * MIB;
const LEFT_AT_STOP = MIB / 2;
/** However slow the disks are, filling takes no longer than this. */
const FILL_MS = 1_500;
const REPLAY_MS = 500;
const LOOK_MS = 3;
const CHECKPOINT_MS = 3600_000;

/**
 * Prepares a primary for its stop. With archiving on, PostgreSQL ends the WAL segment when it stops: it fills the rest
 * with zeros, which every standby has to receive and to flush, and makes a new one. So the segment is filled before, by
 * messages that nobody reads, in pieces; and a checkpoint in the last quarter of a segment makes the next one.
 *
 * @param standbys told of the end of the checkpoint: for what standbys can do beforehand
 */
export async function readyToStop(
  session: Session,
  standbys: (checkpoint: string) => Promise<void>,
): Promise<void> {
  await fillSegment(session, LEFT_AT_CHECKPOINT);
  await session.query('checkpoint', [], CHECKPOINT_MS);
  const [row] = await session.query<{ end: string }>('select pg_current_wal_flush_lsn()::text as end');
  await standbys(row!.end);
  await fillSegment(session, LEFT_AT_STOP);
}

/** Prepares a standby: its restart point makes the next segment too, and leaves less to a start after a crash. */
export async function readyToTakeOver(session: Session, checkpoint: string): Promise<void> {
  const end = performance.now() + REPLAY_MS;
  const replayed = async () =>
    (
      await session.query<{ there: boolean }>(`select pg_last_wal_replay_lsn() >= $1::pg_lsn as there`, [
        checkpoint,
      ])
    )[0];
  while (!(await replayed())?.there && performance.now() < end) await sleep(LOOK_MS);
  await session.query('checkpoint', [], CHECKPOINT_MS);
}

/** Fills the WAL segment that is written to until `left` bytes of it are left, as fast as the standbys keep up. */
async function fillSegment(session: Session, left: number): Promise<void> {
  const end = performance.now() + FILL_MS;
  while (performance.now() < end) {
    const place = await placeInSegment(session);
    if (place.left <= left) return;
    if (place.behind > PIECE) {
      await sleep(LOOK_MS);
      continue;
    }
    // The transaction number makes it a commit, which is flushed.
    await session.query(`select pg_logical_emit_message(false, 'pgherd', repeat(' ', $1)), txid_current()`, [
      Math.ceil(Math.min(place.left - left, PIECE)),
    ]);
  }
}

/** How many bytes of the segment are left, and how far the last of the standbys is behind. */
async function placeInSegment(session: Session): Promise<{ left: number; behind: number }> {
  const [row] = await session.query<{ left: string; behind: string | null }>(
    `select size - mod(pg_current_wal_insert_lsn() - '0/0'::pg_lsn, size) as left,
       (select max(pg_current_wal_flush_lsn() - flush_lsn) from pg_stat_replication where state = 'streaming') as behind
     from (select pg_size_bytes(current_setting('wal_segment_size'))::numeric as size) s`,
  );
  return { left: Number(row!.left), behind: Number(row!.behind ?? 0) };
}
