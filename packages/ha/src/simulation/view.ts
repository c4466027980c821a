/** What an executor would see of a simulated database. */
import type { ReplicationRow, View } from '../types.ts';
import type { Link, SimDatabase } from './database.ts';
import { lengthOf, lsnOf, RECORD_BYTES } from './wal.ts';

/**
 * @param attached a WAL receiver runs
 * @param received one has run since the start: PostgreSQL knows how far it received
 */
export function viewOf(
  database: SimDatabase,
  senders: readonly Link[],
  attached: boolean,
  received: boolean,
): View {
  const { process, inRecovery, owner, data, syncNames, connected, incarnation, systemID, timeline, branch } =
    database;
  const running = process === 'running';
  const standby = running && inRecovery;
  const lsn = lsnOf(database.wal);
  const seen: View = {
    data,
    process,
    sqlReachable: running && !owner.databaseFrozen,
    streaming: standby && connected,
    receiverRunning: standby && attached,
    replication: running && !inRecovery ? senders.map(rowOf) : [],
    syncNames,
    promotedByHand: database.byHand,
  };
  if (incarnation) seen.incarnation = incarnation;
  if (systemID) Object.assign(seen, { systemID, timeline });
  if (!running && data !== 'empty') controlFile(database, seen);
  // Only an answer to SQL says any of what follows.
  if (running && owner.databaseFrozen)
    return { ...seen, silent: true, streaming: false, receiverRunning: false, replication: [] };
  if (running) seen.inRecovery = inRecovery;
  if (running && !inRecovery) {
    seen.currentLsn = lsn;
    if (branch) seen.branch = branch;
  }
  if (standby) {
    seen.replayedLsn = lsn;
    seen.replayedAll = true;
    if (received) seen.receivedLsn = lsn;
  }
  return seen;
}

function controlFile({ wasPrimary, clean, wal }: SimDatabase, seen: View): void {
  if (wasPrimary) seen.controlState = clean ? 'shut down' : 'in production';
  else seen.controlState = clean ? 'shut down in recovery' : 'in archive recovery';
  const records = lengthOf(wal);
  // The record of a primary's last checkpoint begins before its end; a standby's is an old one, that it replayed.
  seen.checkpointLsn = lsnAt(
    wasPrimary ? (records - 0.5) * RECORD_BYTES : Math.floor(records / 2) * RECORD_BYTES,
  );
}

function lsnAt(bytes: number): string {
  return `0/${bytes.toString(16).toUpperCase()}`;
}

function rowOf(link: Link): ReplicationRow {
  return {
    name: link.name,
    state: 'streaming',
    syncState: 'quorum',
    flushLsn: lsnAt(link.confirmed * RECORD_BYTES),
  };
}
