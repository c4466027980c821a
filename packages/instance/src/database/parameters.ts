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

/** What we set and a user may change. */
function defaults(major: number): Settings {
  return {
    wal_level: 'logical',
    max_wal_senders: '32',
    max_replication_slots: '32',
    max_worker_processes: '32',
    max_parallel_workers: '32',
    // A replica that was away for a moment finds its WAL even before its slot is there again.
    ...(major >= 13 ? { wal_keep_size: '512MB' } : { wal_keep_segments: '32' }),
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
    archive_mode: 'off',
    fsync: 'on',
    full_page_writes: 'on',
    // The manager restarts it, after it made sure that the old one is dead.
    restart_after_crash: 'off',
    // pg_rewind needs it where there are no data checksums.
    wal_log_hints: 'on',
    ssl: 'on',
    ssl_ca_file: tls.ca,
    ssl_cert_file: tls.serverCert,
    ssl_key_file: tls.serverKey,
    ...(libraries.length > 0 ? { shared_preload_libraries: libraries.join(',') } : {}),
  };
}

/** All settings of an instance that do not depend on its role: defaults, then the user's, then what we own. */
export function parameters(eff: EffectiveSpec, context: ParameterContext): Settings {
  return { ...defaults(context.major), ...eff.postgresql.parameters, ...owned(eff, context) };
}
