/**
 * Volumes without room. PostgreSQL ends when it cannot write WAL, and would end again and again: it is not started
 * on a full volume. A leader on one hands over only to an instance that has room, or it would come back before long;
 * where nobody has, it keeps the Lease and waits.
 */
import { backOff, type Context, mayRetry, note, recordOf, settingsOf, waitFor } from './context.ts';
import { couldLead } from './positions.ts';
import type { State } from './state.ts';
import type { LeaseRecord, PeerReport, View, VolumeFact } from './types.ts';

/** How long after a hand-over that was not possible the next is tried. */
const AGAIN_MS = 30_000;

/** The first volume that is too full to start PostgreSQL on. */
export function fullVolume(view: View | undefined): VolumeFact | undefined {
  return view?.volumes?.find((volume) => volume.level === 'full');
}

/** Whether all volumes of a peer have room to go on with. */
export function hasRoom(report: PeerReport): boolean {
  return !report.volumes?.some((volume) => volume.level !== 'fine' || volume.hung);
}

/** Somebody who could lead and follows closely has room on volumes that work. */
export function someoneHasRoom(s: State, record: LeaseRecord): boolean {
  return Object.values(s.peers).some(
    ({ report }) => report && couldLead(s, record, report) && hasRoom(report) && report.streaming,
  );
}

/** A leader that still runs on a full volume, while somebody who could lead has room. */
export function wantsRoom(c: Context): boolean {
  const { s } = c;
  const record = recordOf(s);
  if (!record || !fullVolume(s.view) || settingsOf(s).maintenance || !mayRetry(c, 'full')) return false;
  return someoneHasRoom(s, record);
}

export function roomNotFound({ s, now }: Context): void {
  backOff(s, 'full', now, AGAIN_MS);
}

/** Nothing is started before there is space again. */
export function waitForSpace(c: Context, volume: VolumeFact): void {
  const percent = Math.floor((volume.usedBytes / volume.sizeBytes) * 100);
  const message = `the volume ${volume.name} is full (${percent}%): PostgreSQL is started once there is space`;
  if (c.s.error?.code !== 'VolumeFull') note(c, 'Warning', 'VolumeFull', message);
  c.s.error = { code: 'VolumeFull', message };
  waitFor(c, `space on the volume ${volume.name}`);
}
