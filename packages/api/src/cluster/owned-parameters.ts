/**
 * Parameters of PostgreSQL that pgherd sets by itself, and what to do instead of setting them.
 *
 * Setting one of these by hand would break replication, leadership, encryption or the log, so a Cluster that
 * does is refused by name.
 */

export interface OwnedParameters {
  /** What the group is about, in a word. */
  readonly topic: string;
  /** Where the user turns instead: completes the sentence "PARAMETERS cannot be set here: ...". */
  readonly remedy: string;
  readonly parameters: readonly string[];
}

export const OWNED_PARAMETERS: readonly OwnedParameters[] = [
  {
    topic: 'replication',
    remedy:
      'pgherd follows and recovers by itself; for synchronous replication use spec.postgresql.synchronous',
    parameters: [
      'primary_conninfo',
      'primary_slot_name',
      'synchronous_standby_names',
      'hot_standby',
      'cluster_name',
      'promote_trigger_file',
      'trigger_file',
      'standby_mode',
      'wal_receiver_create_temp_slot',
      'wal_log_hints',
    ],
  },
  {
    topic: 'recovery',
    remedy: 'recovery is set up by pgherd when an instance starts; remove it',
    parameters: [
      'restore_command',
      'archive_cleanup_command',
      'recovery_end_command',
      'recovery_min_apply_delay',
      'recovery_target',
      'recovery_target_action',
      'recovery_target_inclusive',
      'recovery_target_lsn',
      'recovery_target_name',
      'recovery_target_time',
      'recovery_target_timeline',
      'recovery_target_xid',
    ],
  },
  {
    topic: 'archiving',
    remedy: 'WAL archiving is switched on by pgherd as soon as a backup target is set; remove it',
    parameters: ['archive_mode', 'archive_command', 'archive_library'],
  },
  {
    topic: 'encryption',
    remedy: 'TLS is always on, with the certificates in the secrets NAME-server and NAME-ca; remove it',
    parameters: [
      'ssl',
      'ssl_ca_file',
      'ssl_cert_file',
      'ssl_crl_dir',
      'ssl_crl_file',
      'ssl_dh_params_file',
      'ssl_key_file',
      'ssl_passphrase_command',
      'ssl_passphrase_command_supports_reload',
    ],
  },
  {
    topic: 'addresses',
    remedy: 'clients come in through the services NAME-rw, NAME-ro and NAME-r on port 5432; remove it',
    parameters: [
      'listen_addresses',
      'port',
      'unix_socket_directories',
      'unix_socket_group',
      'unix_socket_permissions',
      'bonjour',
      'bonjour_name',
    ],
  },
  {
    topic: 'files',
    remedy: 'files lie where pgherd expects them; for access rules use spec.postgresql.pg_hba and pg_ident',
    parameters: [
      'data_directory',
      'config_file',
      'hba_file',
      'ident_file',
      'external_pid_file',
      'include',
      'include_dir',
      'include_if_exists',
      'stats_temp_directory',
    ],
  },
  {
    topic: 'log',
    remedy: "the log goes to the pod's output as JSON: read it with kubectl logs or pgherd logs; remove it",
    parameters: [
      'log_destination',
      'logging_collector',
      'log_directory',
      'log_filename',
      'log_file_mode',
      'log_rotation_age',
      'log_rotation_size',
      'log_truncate_on_rotation',
      'syslog_facility',
      'syslog_ident',
      'syslog_sequence_numbers',
      'syslog_split_messages',
      'event_source',
    ],
  },
  {
    topic: 'safety',
    remedy: 'another value could lose data or let an old primary come back; remove it',
    parameters: [
      'fsync',
      'full_page_writes',
      'data_sync_retry',
      'restart_after_crash',
      'allow_system_table_mods',
      'jit_provider',
    ],
  },
  {
    topic: 'libraries',
    remedy: 'use spec.postgresql.shared_preload_libraries, a list',
    parameters: ['shared_preload_libraries'],
  },
  {
    topic: 'initialisation',
    remedy:
      'it is fixed when the database is initialised: see dataChecksums, walSegmentSize, encoding and the locale fields of spec.bootstrap.initdb',
    parameters: [
      'data_checksums',
      'wal_segment_size',
      'wal_block_size',
      'block_size',
      'segment_size',
      'server_encoding',
      'lc_collate',
      'lc_ctype',
      'data_directory_mode',
      'server_version',
      'server_version_num',
      'in_hot_standby',
    ],
  },
];
