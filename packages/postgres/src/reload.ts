import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresError } from './errors.ts';
import type { Session } from './sql.ts';

const LOOK_MS = 1;
/** A checkpointer in the middle of its writes looks at the settings at least this often. */
const CHECKPOINTER_PAUSE_MS = 200;

interface Process extends Record<string, unknown> {
  pid: number;
  isCheckpointer: boolean;
  /** State of a WAL sender. */
  state: string | null;
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
  let open = (await processes(session)).map(({ pid }) => pid);
  for (const pid of open) hangup(pid);
  const signalled = performance.now();
  // What a sender had sent at the first look after its signal: what it sent before proves nothing.
  const first = new Map<number, Process>();
  for (; ; await sleep(LOOK_MS)) {
    const now = new Map((await processes(session)).map((each) => [each.pid, each]));
    const waited = performance.now() - signalled;
    open = open.filter((pid) => !hasPassed(first.get(pid), now.get(pid), waited));
    if (open.length === 0) return;
    if (performance.now() > end) throw late(`processes ${open.join(', ')} did not reload`);
    for (const pid of open) if (!first.has(pid)) first.set(pid, now.get(pid)!);
  }
}

function hasPassed(first: Process | undefined, now: Process | undefined, waited: number): boolean {
  if (!now) return true;
  if (now.isCheckpointer) {
    if (now.wait === 'CheckpointerMain') return true;
    return now.wait === 'CheckpointWriteDelay' && waited > CHECKPOINTER_PAUSE_MS;
  }
  if (now.state !== 'streaming' || now.wait === 'WalSenderMain') return true;
  return first !== undefined && now.sent !== first.sent;
}

/** The WAL senders and the checkpointer. */
function processes(session: Session): Promise<Process[]> {
  return session.query<Process>(
    `select a.pid, a.backend_type = 'checkpointer' as "isCheckpointer", r.state, r.sent_lsn::text as sent,
       a.wait_event as wait
     from pg_stat_activity a left join pg_stat_replication r using (pid)
     where a.backend_type = 'checkpointer' or r.pid is not null`,
    [],
    1000,
  );
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
