import { kill } from './death.ts';
import type { Session } from './sql.ts';

/**
 * Has a WAL receiver that somebody has stopped (SIGSTOP) go on, so that it heeds the order to end: recovery waits for
 * its end without a bound. Nothing happens to one that runs.
 */
export async function wakeReceiver(session: Session): Promise<void> {
  const receivers = await session.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'walreceiver'",
    [],
    1000,
  );
  for (const { pid } of receivers) kill(pid, 'SIGCONT');
}
