/** A connection of a client. It never cancels: a cancelled wait for a replica would look like success. */
import pg from 'pg';
import type { ClientSettings } from './protocol.ts';

export interface Session {
  client: pg.Client;
  /** Set once it is broken. */
  broken?: Error;
  /** A warning 01000 came: what was committed may be gone after a failover. */
  notice: boolean;
}

/** Connects, or throws once the time is up. */
export async function open(
  settings: ClientSettings,
  host: string,
  name: string,
  options: { timeoutMs: number; pipeline?: boolean },
): Promise<Session> {
  const client = new pg.Client({
    host,
    port: settings.port,
    user: settings.user,
    password: settings.password,
    database: settings.database,
    ssl: { ca: settings.ca, servername: settings.serverName },
    application_name: name,
    ...(options.pipeline ? { pipeline: true } : {}),
  } as pg.ClientConfig);
  const session: Session = { client, notice: false };
  client.on('error', (error) => {
    session.broken = error;
  });
  client.on('notice', (message) => {
    if (message.code === '01000') session.notice = true;
  });
  try {
    await within(client.connect(), options.timeoutMs);
  } catch (error) {
    drop(session);
    throw error;
  }
  return session;
}

/** Closes the socket at once: neither a cancel request nor a farewell is sent. */
export function drop({ client }: Session): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

/** The outcome of the work, or an error once the time is up. */
export async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}
