/** A database that hangs acknowledges nothing, yet holds the place of one that would. Slow is not hung. */
import { type Context, recordOf, within } from './context.ts';
import type { Seen } from './events.ts';
import { someoneHasRoom } from './space.ts';
import type { State } from './state.ts';
import type { View, VolumeFact } from './types.ts';

/** So long nothing at all has answered, neither an open session nor a new connection. */
const SILENT_MS = 10_000;
/** So long not one write has come back, ours or PostgreSQL's. */
const STUCK_DISK_MS = 10_000;

/** The first volume that takes no writes. */
function hungVolume(view: View | undefined): VolumeFact | undefined {
  return view?.volumes?.find((volume) => volume.hung);
}

/** Takes in what an observation says of the disk. While WAL goes on being written the disk does not hang. */
export function seeDisk(s: State, { view, startedAt }: Seen): void {
  const progress = view.currentLsn !== undefined && view.currentLsn !== s.view?.currentLsn;
  if (hungVolume(view) && s.held && !progress) s.stuckDiskSince ??= startedAt;
  else s.stuckDiskSince = undefined;
}

/** Why PostgreSQL here is to be killed, in words; undefined while it is well, or while that would help nobody. */
export function whyHung(c: Context): string | undefined {
  const { s } = c;
  if (s.silentSince && !within(c, s.silentSince, SILENT_MS))
    return `PostgreSQL on ${s.self.name} has not answered for ${SILENT_MS / 1000} s`;
  const volume = hungVolume(s.view);
  if (!volume || !s.stuckDiskSince || within(c, s.stuckDiskSince, STUCK_DISK_MS)) return undefined;
  const record = recordOf(s);
  // Where nobody can take over, it may as well go on with what it has once the disk does.
  if (!record || !someoneHasRoom(s, record)) return undefined;
  return `the volume ${volume.name} has taken no writes for ${STUCK_DISK_MS / 1000} s`;
}
