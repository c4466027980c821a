import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresError } from './errors.ts';
import type { Session } from './sql.ts';

const LOOK_MS = 3;
/** A checkpointer in the middle of its writes looks at the settings at least this often. */
const CHECKPOINTER_PAUSE_MS = 200;

interface Sender extends Record<string, unknown> {
  pid: number;
  state: string;
  sent: string | null;
  wait: string | null;
}

/**
 * Reloads, and resolves once `synchronous_standby_names` is in force everywhere: in new sessions, in the
 * checkpointer (which tells backends whether to wait at all) and in every WAL sender (which releases them).
 *
 * There is no acknowledgement for SIGHUP. What proves that a WAL sender has passed to the new rule: its loop
 * reads the settings before it reads replies, so that once it was signalled, being seen asleep in its main
 * loop, or having sent more WAL, or not streaming at all, means that the next reply is judged by the new rule.
 * Throws PostgresError `ReloadUnconfirmed`: the old and the new rule must then both be assumed in force.
 */
export async function reloadSync(
  session: Session,
  postmaster: number,
  expected: string,
  deadlineMs: number,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  const late = (what: string) =>
    new PostgresError(
      'ReloadUnconfirmed',
      `setting synchronous_standby_names: ${what} within ${deadlineMs} ms`,
    );
  process.kill(postmaster, 'SIGHUP');
  // Our own session was signalled by the postmaster: from here on it forks with the new settings.
  while ((await currentSync(session)) !== expected) {
    if (performance.now() > end) throw late('the server did not take the new value');
    await sleep(LOOK_MS);
  }
  const before = new Map<number, Sender>();
  const checkpointer = await checkpointerState(session);
  for (const sender of await senders(session)) {
    before.set(sender.pid, sender);
    hangup(sender.pid);
  }
  if (checkpointer) hangup(checkpointer.pid);
  const signalled = performance.now();
  let open = new Set(before.keys());
  let checkpointerOpen = checkpointer !== undefined;
  for (;;) {
    const now = new Map((await senders(session)).map((sender) => [sender.pid, sender]));
    open = new Set([...open].filter((pid) => !hasPassed(before.get(pid)!, now.get(pid))));
    if (checkpointerOpen) checkpointerOpen = !checkpointerPassed(await checkpointerState(session), signalled);
    if (open.size === 0 && !checkpointerOpen) return;
    if (performance.now() > end)
      throw late(
        open.size > 0
          ? `WAL senders ${[...open].join(', ')} did not reload`
          : 'the checkpointer did not reload',
      );
    await sleep(LOOK_MS);
  }
}

function hasPassed(before: Sender, now: Sender | undefined): boolean {
  if (now?.state !== 'streaming') return true;
  return now.wait === 'WalSenderMain' || now.sent !== before.sent;
}

function checkpointerPassed(now: { wait: string | null } | undefined, signalled: number): boolean {
  if (!now || now.wait === 'CheckpointerMain') return true;
  return now.wait === 'CheckpointWriteDelay' && performance.now() - signalled > CHECKPOINTER_PAUSE_MS;
}

async function senders(session: Session): Promise<Sender[]> {
  return session.query<Sender>(
    `select r.pid, r.state, r.sent_lsn::text as sent, a.wait_event as wait
     from pg_stat_replication r join pg_stat_activity a using (pid)`,
    [],
    1000,
  );
}

async function checkpointerState(
  session: Session,
): Promise<{ pid: number; wait: string | null } | undefined> {
  const [row] = await session.query<{ pid: number; wait: string | null }>(
    "select pid, wait_event as wait from pg_stat_activity where backend_type = 'checkpointer'",
    [],
    1000,
  );
  return row;
}

async function currentSync(session: Session): Promise<string> {
  const [row] = await session.query<{ names: string }>(
    "select current_setting('synchronous_standby_names') as names",
    [],
    1000,
  );
  return row?.names ?? '';
}

function hangup(pid: number): void {
  try {
    process.kill(pid, 'SIGHUP');
  } catch {
    // It ended: then it releases nobody.
  }
}
