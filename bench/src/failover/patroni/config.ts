/** Patroni's configuration of one member, in the words of its manual. */
export interface MemberConfig {
  name: string;
  address: string;
  etcd: string;
  bin: string;
  data: string;
  sockets: string;
}

export const USERS = { superuser: 'postgres', app: 'app', database: 'app', password: 'bench' };
export const PORT = 5432;
export const REST_PORT = 8008;
export const ETCD_PORT = 2379;

/** What Patroni uses when nothing is said, and the least that its manual allows. Seconds. */
export const TIMES = {
  default: { ttl: 30, loop_wait: 10, retry_timeout: 10 },
  tuned: { ttl: 20, loop_wait: 1, retry_timeout: 3 },
} as const;

/** The configuration as YAML (JSON is YAML). */
export function memberConfig(member: MemberConfig, times: (typeof TIMES)[keyof typeof TIMES]): string {
  const { name, address } = member;
  const login = (username: string) => ({ username, password: USERS.password });
  return JSON.stringify({
    scope: 'bench',
    name,
    restapi: { listen: `${address}:${REST_PORT}`, connect_address: `${address}:${REST_PORT}` },
    // With etcd's protocol 3 this version of Patroni lets a leader that was frozen take the lock back without
    // comparing, and then never learns what the synchronous standby is: protocol 2 compares and swaps.
    etcd: { hosts: `${member.etcd}:${ETCD_PORT}` },
    bootstrap: {
      dcs: {
        ...times,
        maximum_lag_on_failover: 1_048_576,
        postgresql: {
          use_pg_rewind: true,
          use_slots: true,
          // A member that cannot be rewound is copied anew, as pgherd does.
          remove_data_directory_on_rewind_failure: true,
          remove_data_directory_on_diverged_timelines: true,
          // A replica that follows a new leader finds there what it lacks.
          parameters: { wal_keep_size: '512MB' },
        },
      },
      initdb: [{ encoding: 'UTF8' }, 'data-checksums'],
    },
    postgresql: {
      listen: `${address}:${PORT}`,
      connect_address: `${address}:${PORT}`,
      bin_dir: member.bin,
      data_dir: member.data,
      pgpass: `${member.sockets}/pgpass`,
      authentication: {
        superuser: login(USERS.superuser),
        replication: login('replicator'),
        rewind: login('rewinder'),
      },
      parameters: { unix_socket_directories: member.sockets },
      pg_hba: [
        'local all all trust',
        'host all all 0.0.0.0/0 scram-sha-256',
        'host replication all 0.0.0.0/0 scram-sha-256',
      ],
    },
  });
}
