import { readFile } from 'node:fs/promises';
import { REPLICATION_USER } from '@pgherd/api';
import { conninfo, openSession, type Session } from '@pgherd/postgres';
import { type Layout, tlsFiles } from './layout.ts';
import type { Upstream } from './types.ts';

export interface UpstreamContext {
  layout: Layout;
  /** Name in the server certificate: the -rw Service. */
  serverName: string;
  port: number;
  /** Version of PostgreSQL, there as here. */
  major: number;
}

/**
 * How long the upstream's process waits for us to take what it has sent. Without a bound, one whose standby went without
 * a word hangs in its last message until the network gives up, a quarter of an hour later; and with it the checkpointer,
 * as soon as it wants to give up the standby's slot, while WAL fills the volume.
 */
const STREAM_MS = 10_000;
/** The same for a copy or a rewind, which may have to wait for a slow disk. */
const COPY_MS = 60_000;

/** How a replica, a copy or a rewind reaches another instance: by address, with the certificate's name checked. */
export function upstreamConninfo(
  upstream: Upstream,
  c: UpstreamContext,
  o: { applicationName: string; database?: string; copies?: boolean },
): string {
  const tls = tlsFiles(c.layout.tls);
  return conninfo({
    host: c.serverName,
    hostaddr: upstream.address,
    port: c.port,
    user: REPLICATION_USER,
    dbname: o.database,
    application_name: o.applicationName,
    sslmode: 'verify-full',
    sslcert: tls.clientCert,
    sslkey: tls.clientKey,
    sslrootcert: tls.ca,
    gssencmode: 'disable',
    connect_timeout: 3,
    keepalives_idle: 5,
    keepalives_interval: 2,
    keepalives_count: 3,
    tcp_user_timeout: 5000,
    options: c.major >= 12 ? `-c tcp_user_timeout=${o.copies ? COPY_MS : STREAM_MS}` : undefined,
  });
}

/** A connection to another instance as the replication role; there is one left when clients have taken all of theirs. */
export async function upstreamSession(upstream: Upstream, c: UpstreamContext): Promise<Session> {
  const tls = tlsFiles(c.layout.tls);
  const [ca, cert, key] = await Promise.all(
    [tls.ca, tls.clientCert, tls.clientKey].map((file) => readFile(file, 'utf8')),
  );
  return openSession({
    host: upstream.address,
    port: c.port,
    user: REPLICATION_USER,
    database: 'postgres',
    asWalSender: true,
    connectTimeoutMs: 3000,
    tls: { ca: ca!, cert: cert!, key: key!, servername: c.serverName },
  });
}

/** Name of the slot that an upstream keeps for an instance. */
export function slotName(instance: string): string {
  return `_pgherd_${instance.replace(/[^a-z0-9]/g, '_')}`;
}
