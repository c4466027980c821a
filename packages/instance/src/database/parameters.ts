import type { EffectiveSpec } from '@pgherd/api';
import { logSettings, type Settings } from '@pgherd/postgres';
import { type Layout, tlsFiles } from './layout.ts';

export interface ParameterContext {
  instance: string;
  major: number;
  layout: Layout;
  port: number;
  listenAddresses: string;
}

/** The volume that pg_wal lies on. */
export interface WalVolume {
  sizeBytes: number;
  /** Nothing but WAL lies there. */
  ownVolume: boolean;
}

const MB = 1 << 20;
const KEEP_MB = 512;
const MAX_WAL_MB = 1024;
const LEAST_MB = 64;

/**
 * How much WAL is kept, by the size of its volume: for replicas that are away (the slots' share is the bound of
 * last resort: who has fallen back further is copied anew), and between checkpoints.
 */
function walBounds(major: number, volume: WalVolume | undefined): Settings {
  const share = (part: number) => {
    if (!volume) return Number.POSITIVE_INFINITY;
    const megabytes = (volume.sizeBytes / MB) * part * (volume.ownVolume ? 2 : 1);
    // In coarse steps: the size of a pool that others use too is never quite the same, the settings are to be.
    const step = 2 ** Math.max(Math.floor(Math.log2(megabytes)) - 3, 0);
    return Math.max(Math.floor(megabytes / step) * step, LEAST_MB);
  };
  const keep = Math.min(KEEP_MB, share(0.1));
  const most = Math.min(MAX_WAL_MB, share(0.2));
  return {
    // A replica that was away for a moment finds its WAL even before its slot is there again.
    ...(major >= 13 ? { wal_keep_size: `${keep}MB` } : { wal_keep_segments: String(Math.ceil(keep / 16)) }),
    ...(major >= 13 && volume ? { max_slot_wal_keep_size: `${share(0.25)}MB` } : {}),
    ...(most < MAX_WAL_MB
      ? { max_wal_size: `${most}MB`, min_wal_size: `${Math.max(32, Math.min(80, most / 2))}MB` }
      : {}),
  };
}

// pgBackRest insists on its own name being in it.
/** What PostgreSQL calls for each WAL file once a backup is set up. */
export const ARCHIVE_COMMAND = '/pgherd/pgbackrest-archive "%p"';
/** restore_command of a standby, where there is an archive. */
export const FETCH_COMMAND = '/pgherd/pgbackrest-fetch "%f" "%p"';

/** What we set and a user may change. */
function defaults(major: number, volume: WalVolume | undefined): Settings {
  return {
    wal_level: 'logical',
    max_wal_senders: '32',
    max_replication_slots: '32',
    max_worker_processes: '32',
    // As PostgreSQL has them. Said, since a standby must know when they are below its primary's.
    max_connections: '100',
    max_prepared_transactions: '0',
    max_locks_per_transaction: '64',
    max_parallel_workers: '32',
    ...walBounds(major, volume),
    // A dead peer is noticed within seconds, not after a minute.
    wal_sender_timeout: '5s',
    wal_receiver_timeout: '5s',
    // The default of 5 s would delay every rejoin.
    wal_retrieve_retry_interval: '100ms',
    tcp_keepalives_idle: '10',
    tcp_keepalives_interval: '3',
    tcp_keepalives_count: '3',
    dynamic_shared_memory_type: 'posix',
    password_encryption: 'scram-sha-256',
    ...(major >= 12 ? { ssl_min_protocol_version: 'TLSv1.3' } : {}),
    log_timezone: 'UTC',
    // So much of what was committed may be missing in the archive, if all instances are lost at once.
    archive_timeout: '5min',
  };
}

/** What nobody may change: leadership, encryption and the log depend on it. */
function owned(eff: EffectiveSpec, c: ParameterContext): Settings {
  const tls = tlsFiles(c.layout.tls);
  const libraries = eff.postgresql.sharedPreloadLibraries;
  return {
    ...logSettings,
    listen_addresses: c.listenAddresses,
    port: String(c.port),
    unix_socket_directories: c.layout.sockets,
    unix_socket_permissions: '0700',
    cluster_name: c.instance,
    hot_standby: 'on',
    // On from the beginning, so that a backup can be set up later without a restart. A replica keeps what its
    // primary has not archived yet, and archives it once it leads.
    archive_mode: 'always',
    archive_command: eff.backup ? ARCHIVE_COMMAND : 'true',
    fsync: 'on',
    full_page_writes: 'on',
    // The manager restarts it, after it made sure that the old one is dead.
    restart_after_crash: 'off',
    // pg_rewind needs it where there are no data checksums.
    wal_log_hints: 'on',
    ssl: 'on',
    ssl_ca_file: tls.clientCa,
    ssl_cert_file: tls.serverCert,
    ssl_key_file: tls.serverKey,
    ...(libraries.length > 0 ? { shared_preload_libraries: libraries.join(',') } : {}),
  };
}

/** All settings of an instance that do not depend on its role: defaults, then the user's, then what we own. */
export function parameters(eff: EffectiveSpec, context: ParameterContext, volume?: WalVolume): Settings {
  return { ...defaults(context.major, volume), ...eff.postgresql.parameters, ...owned(eff, context) };
}
