/** Clients that are in the way of the one thing a primary must still do: to go. */
import { accessFromHost } from '@pgherd/cli/access';
import pg from 'pg';
import type { Undo } from '../faults.ts';
import type { Stage } from '../stage.ts';
import type { Blow } from './inflict.ts';

export const MANY_CONNECTIONS = 400;
const AT_ONCE = 25;
const CONNECT_MS = 10_000;

/** A transaction that holds locks and is idle, and one that is busy for ever. */
export async function endlessTransaction({ target }: Blow): Promise<Undo> {
  const [idle, busy] = await connections(target.stage, 2);
  await idle?.query('BEGIN; CREATE TABLE endless (); DROP TABLE endless');
  busy?.query('DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$').catch(() => {});
  return async () => {
    // A client that goes without a word leaves the busy one running until it next looks: told, it ends.
    if (busy) await cancel(target.stage, busy).catch(() => {});
    for (const client of [idle, busy]) client && drop(client);
  };
}

/** Connections that do nothing. */
export async function manyConnections({ target }: Blow): Promise<Undo> {
  const clients = await connections(target.stage, MANY_CONNECTIONS);
  return async () => clients.forEach(drop);
}

async function connections(stage: Stage, count: number): Promise<pg.Client[]> {
  const { client, world, namespace, cluster } = stage;
  const access = await accessFromHost(client, world.state ?? '', namespace, cluster);
  const made: pg.Client[] = [];
  const one = async (): Promise<void> => {
    const { host, port, user, password, database, ca, serverName } = access;
    const ssl = { ca, servername: serverName };
    const connectionTimeoutMillis = CONNECT_MS;
    const session = new pg.Client({ host, port, user, password, database, ssl, connectionTimeoutMillis });
    session.on('error', () => {});
    await session.connect();
    made.push(session);
  };
  try {
    while (made.length < count)
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - made.length) }, one));
  } catch (error) {
    made.forEach(drop);
    throw error;
  }
  return made;
}

async function cancel(stage: Stage, client: pg.Client): Promise<void> {
  const { processID } = client as unknown as { processID: number };
  const [other] = await connections(stage, 1);
  await other?.query('SELECT pg_cancel_backend($1)', [processID]);
  if (other) drop(other);
}

/** Closes the socket at once. */
function drop(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}
