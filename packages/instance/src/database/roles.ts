/** What PostgreSQL here is: a primary, a standby of somebody, a standby of nobody; and the ways from one to another. */
import type { RoleSettings } from '@pgherd/postgres';
import type { Workplace } from './fresh.ts';
import { cutReceiver, cutSenders, withSession } from './running.ts';
import type { StandbyOptions } from './types.ts';
import { slotName, upstreamConninfo } from './upstream.ts';

/** A standby that has not come to accept connections by then goes on recovering in peace. */
const STANDBY_PATIENCE_MS = 2000;
const RESTART_STOP = { fastMs: 60_000, immediateMs: 5000 };
const PROMOTE_MS = 60_000;

export async function startPrimary(
  w: Workplace,
  o: { syncNames: string },
  signal: AbortSignal,
): Promise<void> {
  w.watcher.starts(undefined);
  await w.config.writeAll({
    standby: false,
    primaryConninfo: '',
    synchronousStandbyNames: o.syncNames,
  });
  await w.pg.start({ signal });
}

export async function startStandby(
  w: Workplace,
  o: StandbyOptions,
  signal: AbortSignal,
): Promise<{ accepting: boolean }> {
  w.watcher.starts(o.upstream?.name);
  await w.config.writeAll(standbyRole(w, o));
  return { accepting: await w.pg.start({ patienceMs: STANDBY_PATIENCE_MS, signal }) };
}

/** Turns a running standby to another upstream, or to none. */
export async function follow(w: Workplace, o: StandbyOptions, signal: AbortSignal): Promise<void> {
  w.config.role = standbyRole(w, o);
  w.watcher.follows(o.upstream?.name);
  await w.pg.writeRoleSettings(w.config.role);
  if (w.pg.major < 13) {
    await w.pg.stop(RESTART_STOP);
    await w.pg.start({ patienceMs: STANDBY_PATIENCE_MS, signal });
    return;
  }
  w.pg.reload();
  if (o.upstream === null) await withSession(w.pg, (session) => cutReceiver(session, o.sealed === true));
}

/** No WAL comes in from anywhere any more, and none is passed on. */
export async function cutWal(w: Workplace): Promise<void> {
  const { restoreCommand } = w.config.role;
  w.config.role = standbyRole(w, { upstream: null, applicationName: '', sealed: true });
  w.watcher.follows(undefined);
  await w.pg.writeRoleSettings(w.config.role);
  if (w.pg.state === 'stopped') return;
  // Older versions read these settings at a start only.
  const needsRestart = w.pg.major < 13 || (w.pg.major < 14 && restoreCommand);
  if (needsRestart) return w.pg.stop(RESTART_STOP);
  w.pg.reload();
  await withSession(w.pg, async (session) => {
    await cutReceiver(session, true);
    await cutSenders(session);
  });
}

/** On a running primary; resolves when every WAL sender judges by the new names. Stopped: for the next start. */
export async function setSync(w: Workplace, names: string): Promise<void> {
  w.config.role = { ...w.config.role, synchronousStandbyNames: names };
  await w.pg.writeRoleSettings(w.config.role, { sync: false });
  if (w.pg.state === 'stopped') return;
  await withSession(w.pg, (session) => w.pg.reloadSync(session, names));
}

export function promote(
  w: Workplace,
  o: { syncNames: string; timeline?: number },
): Promise<{ timeline: number }> {
  return withSession(w.pg, async (session) => {
    const role = { standby: true, primaryConninfo: '', synchronousStandbyNames: o.syncNames };
    w.config.role = role;
    await w.pg.writeRoleSettings(role, { sync: false });
    await w.pg.reloadSync(session, o.syncNames);
    const timeline = await w.pg.promote(session, {
      deadlineMs: PROMOTE_MS,
      ...(o.timeline ? { timeline: o.timeline } : {}),
    });
    w.config.role = { ...role, standby: false };
    w.watcher.follows(undefined);
    return { timeline };
  });
}

function standbyRole(
  { instance, upstreams, config }: Workplace,
  { upstream, applicationName, sealed }: StandbyOptions,
): RoleSettings {
  const { restoreCommand } = config;
  return {
    standby: true,
    ...(restoreCommand && !sealed ? { restoreCommand } : {}),
    primaryConninfo: upstream ? upstreamConninfo(upstream, upstreams, { applicationName }) : '',
    primarySlotName: slotName(instance),
    synchronousStandbyNames: '',
  };
}
