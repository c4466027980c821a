/**
 * Replication slots: every member keeps one for every other, so that after a failover a replica that was away for a
 * moment finds its WAL. On the primary a slot moves with its replica; on a standby it is moved after the primary's.
 * How much WAL they may keep is bounded by max_slot_wal_keep_size; one that has lost its WAL is made anew.
 */
import { PostgresError, type Session } from '@pgherd/postgres';

interface Slot extends Record<string, unknown> {
  name: string;
  active: boolean;
  /** Position from which it keeps WAL; null: none yet. */
  position: string | null;
  lost: boolean;
}

export type Slots = ReadonlyMap<string, Slot>;

/** Our slots on a server. */
export async function slotsOf(session: Session): Promise<Map<string, Slot>> {
  const slots = await session.query<Slot>(
    `select slot_name as name, active, restart_lsn::text as position,
       coalesce(to_jsonb(s)->>'wal_status', '') = 'lost' as lost
     from pg_replication_slots s where slot_type = 'physical' and slot_name like '\\_pgherd\\_%'`,
  );
  return new Map(slots.map((slot) => [slot.name, slot]));
}

/** Slots of users that keep WAL and that nobody reads from: on a former primary, what its change of role left behind. */
export async function idleSlotsOfOthers(session: Session): Promise<string[]> {
  const slots = await session.query<{ name: string; type: string }>(
    `select slot_name as name, slot_type as type from pg_replication_slots
     where not active and not temporary and restart_lsn is not null and slot_name not like '\\_pgherd\\_%' order by 1`,
  );
  return slots.map(({ name, type }) => `${name} (${type})`);
}

/** Keeps a slot of each of these names, and drops all others of ours. None reserves WAL before it has been used. */
export async function ensureSlots(session: Session, wanted: string[]): Promise<void> {
  const there = await slotsOf(session);
  for (const { name, active, lost } of there.values()) {
    if (active || (wanted.includes(name) && !lost)) continue;
    if (await dropSlot(session, name)) there.delete(name);
  }
  for (const name of wanted) if (!there.has(name)) await createSlot(session, name, false);
}

/**
 * On a standby: moves our slots to where those of the primary are. One that the primary has no position for keeps
 * nothing back: left behind by a former life as primary, it would do so for ever.
 */
export async function followSlots(session: Session, theirs: Slots): Promise<void> {
  const ours = await slotsOf(session);
  for (const { name, active, position } of ours.values()) {
    const theirPosition = theirs.get(name)?.position ?? null;
    if (active || theirPosition === position) continue;
    if (theirPosition === null || position === null) {
      if (await dropSlot(session, name)) await createSlot(session, name, theirPosition !== null);
    }
    if (theirPosition !== null) await moveSlot(session, name, theirPosition);
  }
}

/** A slot only moves forward, and not beyond what is replayed here. */
async function moveSlot(session: Session, name: string, position: string): Promise<void> {
  await session.query(
    `select pg_replication_slot_advance(slot_name, $2::pg_lsn) from pg_replication_slots
     where slot_name = $1 and not active and restart_lsn < least($2::pg_lsn, pg_last_wal_replay_lsn())`,
    [name, position],
  );
}

async function createSlot(session: Session, name: string, reserve: boolean): Promise<void> {
  await session.query('select pg_create_physical_replication_slot($1, $2)', [name, reserve]);
}

/** False when someone uses it at this moment. */
async function dropSlot(session: Session, name: string): Promise<boolean> {
  try {
    await session.query('select pg_drop_replication_slot($1)', [name]);
    return true;
  } catch (error) {
    // 55006: in use; 42704: gone meanwhile.
    if (error instanceof PostgresError && error.sqlState === '55006') return false;
    if (error instanceof PostgresError && error.sqlState === '42704') return true;
    throw error;
  }
}
