/** Brings all WAL so far to the archive, with a commit at its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Session } from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';

const LOOK_MS = 100;

/**
 * A recovery to any moment before this one finds a later commit in the archive, and so the proof that nothing is
 * missing. Resolves with the time of that commit, once it is archived. Throws InstanceError `NotArchived` with what
 * stands in the way.
 */
export async function seal(session: Session, withinMs: number): Promise<{ at: string }> {
  await session.query('select txid_current()');
  const [row] = await session.query<{ at: Date; file: string }>(
    'select clock_timestamp() as at, pg_walfile_name(pg_switch_wal()) as file',
  );
  const end = performance.now() + withinMs;
  for (;;) {
    const [now] = await session.query<{ archived: string | null; failed: string | null }>(
      `select last_archived_wal as archived,
         case when last_failed_time > coalesce(last_archived_time, '-infinity') then last_failed_wal end as failed
       from pg_stat_archiver`,
    );
    if (now?.archived && now.archived.slice(0, 24) >= row!.file)
      return { at: new Date(row!.at).toISOString() };
    if (performance.now() > end)
      throw new InstanceError(
        'NotArchived',
        `archiving the last WAL: ${row!.file} is not in the archive after ${withinMs / 1000} s${now?.failed ? `; ${now.failed} failed` : ''}`,
      );
    await sleep(LOOK_MS);
  }
}
