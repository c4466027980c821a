/** What PostgreSQL here is: a primary, a standby of somebody, a standby of nobody; and the ways from one to another. */
import { PostgresError, type RoleSettings } from '@pgherd/postgres';
import type { Workplace } from './fresh.ts';
import { cutReceiver, cutSenders, localSession, withSession } from './running.ts';
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
  w.config.syncInForce = undefined;
  await w.watcher.mark.mayLead();
  await w.pg.start({ signal, args: await w.config.startArgs() });
  w.config.syncInForce = o.syncNames;
  await onlyPrimary(w);
}

/** A server that somebody starts by hand in the place of this one does not write. */
async function onlyPrimary({ pg }: Workplace): Promise<void> {
  // On a full volume there is no room for it, and the primary is none the worse.
  await pg.startsAsStandby().catch(() => undefined);
}

export async function startStandby(
  w: Workplace,
  o: StandbyOptions,
  signal: AbortSignal,
): Promise<{ accepting: boolean }> {
  const role = standbyRole(w, o);
  w.watcher.starts(o.upstream?.name, role.restoreCommand !== undefined);
  await w.config.writeAll(role);
  w.watcher.mark.starts();
  return { accepting: await start(w, signal) };
}

/** Every process of it has read the role file as it is now. */
async function start(w: Workplace, signal: AbortSignal): Promise<boolean> {
  w.config.syncInForce = undefined;
  const accepting = await w.pg.start({
    patienceMs: STANDBY_PATIENCE_MS,
    signal,
    args: await w.config.startArgs(),
  });
  w.config.syncInForce = w.config.role.synchronousStandbyNames;
  return accepting;
}

/** Turns a running standby to another upstream, or to none. */
export async function follow(w: Workplace, o: StandbyOptions, signal: AbortSignal): Promise<void> {
  w.config.role = standbyRole(w, o);
  w.watcher.follows(o.upstream?.name, w.config.role.restoreCommand !== undefined);
  // Whom it follows need not survive a power cut: every start writes it anew.
  await w.config.writeRole({ sync: o.upstream === null });
  if (w.pg.major < 13) {
    await w.pg.stop(RESTART_STOP);
    await start(w, signal);
    return;
  }
  w.pg.reload();
  const { synchronousStandbyNames } = w.config.role;
  if (synchronousStandbyNames !== w.config.syncInForce) await bringIntoForce(w, synchronousStandbyNames);
  if (o.upstream === null) await withSession(w.pg, (session) => cutReceiver(session, o.sealed === true));
}

/** A standby that does not answer is not waited for: its promotion will see to it. */
async function bringIntoForce(w: Workplace, names: string): Promise<void> {
  w.config.syncInForce = undefined;
  try {
    await withSession(w.pg, (session) => w.pg.reloadSync(session, names));
    w.config.syncInForce = names;
  } catch (error) {
    if (!(error instanceof PostgresError)) throw error;
  }
}

/** No WAL comes in from anywhere any more, and none is passed on. */
export async function cutWal(w: Workplace): Promise<void> {
  const { restoreCommand, synchronousStandbyNames: syncNames } = w.config.role;
  w.config.role = standbyRole(w, { upstream: null, applicationName: '', syncNames, sealed: true });
  w.watcher.follows(undefined);
  await w.config.writeRole();
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
  await w.config.writeRole({ sync: false });
  if (w.pg.state === 'stopped') return;
  w.config.syncInForce = undefined;
  await withSession(w.pg, (session) => w.pg.reloadSync(session, names));
  w.config.syncInForce = names;
}

/** Where the rule is in force already, and no archive is to be left alone from now on, nothing has to be reloaded. */
export async function promote(
  w: Workplace,
  o: { syncNames: string; timeline?: number },
): Promise<{ timeline: number }> {
  const opening = localSession(w.pg);
  const { restoreCommand } = w.config.role;
  const role = { standby: true, primaryConninfo: '', synchronousStandbyNames: o.syncNames };
  try {
    if (w.config.syncInForce !== o.syncNames || restoreCommand) {
      w.config.role = role;
      w.config.syncInForce = undefined;
      await w.config.writeRole({ sync: false });
      await w.pg.reloadSync(await opening, o.syncNames);
      w.config.syncInForce = o.syncNames;
    }
    await w.watcher.mark.mayLead();
    const timeline = await w.pg.promote(opening, {
      deadlineMs: PROMOTE_MS,
      ...(o.timeline ? { timeline: o.timeline } : {}),
    });
    w.config.role = { ...role, standby: false };
    w.watcher.follows(undefined);
    await onlyPrimary(w);
    return { timeline };
  } finally {
    opening.then(
      (session) => session.close(),
      () => undefined,
    );
  }
}

/** For some seconds from a hand-over on, WAL segments are made without filling them; `end`: that is over. */
export async function hurry(w: Workplace, end: boolean): Promise<void> {
  w.config.hurried = !end;
  if (w.pg.state !== 'running') return;
  await w.config.writeRole({ sync: false });
  w.pg.reload();
}

function standbyRole(
  { instance, upstreams, config }: Workplace,
  { upstream, applicationName, syncNames = '', sealed }: StandbyOptions,
): RoleSettings {
  const { restoreCommand } = config;
  return {
    standby: true,
    ...(restoreCommand && !sealed ? { restoreCommand } : {}),
    primaryConninfo: upstream ? upstreamConninfo(upstream, upstreams, { applicationName }) : '',
    primarySlotName: slotName(instance),
    synchronousStandbyNames: syncNames,
  };
}
