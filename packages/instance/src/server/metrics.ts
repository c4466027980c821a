/** What a scraper reads. The library is loaded at the first scrape: most pods are never scraped. */
import type { InstanceReport } from '@pgherd/api';
import { diffLsn, type Logger, volumeUsage, walUsage } from '@pgherd/postgres';
import type { Gauge, Registry } from 'prom-client';
import type { Layout } from '../database/layout.ts';
import type { Database, ReadQuery } from '../database/types.ts';

export interface MetricsOptions {
  cluster: string;
  instance: string;
  layout: Layout;
  database: Database;
  report(): InstanceReport;
  log: Logger;
}

export interface Scrape {
  contentType: string;
  body: string;
}

type Set = (name: string, help: string, value: number, labels?: Record<string, string>) => void;

/** Makes the function that answers a scrape. */
export function createMetrics(o: MetricsOptions): () => Promise<Scrape> {
  return async () => {
    const { Registry, Gauge } = await import('prom-client');
    // A registry for each scrape: a standby or a database that is gone leaves no row behind.
    const registry = new Registry();
    registry.setDefaultLabels({ cluster: o.cluster, instance: o.instance });
    const set = setter(registry, Gauge);
    manager(o.report(), set);
    await volumes(o.layout, set);
    try {
      await o.database.read((query) => database(query, set));
      set('pgherd_up', 'Whether PostgreSQL answered the scrape.', 1);
    } catch (error) {
      o.log.debug({ error: String(error) }, 'a scrape did not reach PostgreSQL');
      set('pgherd_up', 'Whether PostgreSQL answered the scrape.', 0);
    }
    return { contentType: registry.contentType, body: await registry.metrics() };
  };
}

function setter(registry: Registry, GaugeClass: typeof Gauge): Set {
  return (name, help, value, labels = {}) => {
    const known = registry.getSingleMetric(name) as Gauge | undefined;
    const gauge =
      known ?? new GaugeClass({ name, help, labelNames: Object.keys(labels), registers: [registry] });
    gauge.set(labels, value);
  };
}

function manager(report: InstanceReport, set: Set): void {
  set('pgherd_ready', 'Whether the instance is ready.', Number(report.ready));
  set('pgherd_leader', 'Whether the instance holds the Lease.', Number(report.leader));
  set('pgherd_primary', 'Whether PostgreSQL runs as primary.', Number(report.role === 'primary'));
  set('pgherd_streaming', 'Whether the standby receives WAL.', Number(report.streaming));
  if (report.timeline !== undefined) set('pgherd_timeline', 'Timeline of PostgreSQL.', report.timeline);
  if (report.epoch !== undefined) set('pgherd_epoch', 'Epoch of leadership as last seen.', report.epoch);
  set(
    'pgherd_pending_restart',
    'Whether settings wait for a restart.',
    Number(report.pendingRestart ?? false),
  );
  for (const standby of report.replication) {
    if (!standby.replayLsn || !report.currentLsn) continue;
    const lag = Number(diffLsn(report.currentLsn, standby.replayLsn));
    set('pgherd_standby_lag_bytes', 'WAL that a standby has yet to replay.', Math.max(lag, 0), {
      standby: standby.name,
    });
  }
  const memory = process.memoryUsage.rss();
  set('pgherd_manager_resident_memory_bytes', 'Resident memory of the manager.', memory);
  set('pgherd_manager_cpu_seconds', 'CPU time of the manager.', cpuSeconds());
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function volumes(layout: Layout, set: Set): Promise<void> {
  const paths = { data: layout.notes, ...(layout.walDir ? { wal: layout.walDir } : {}) };
  for (const [volume, path] of Object.entries(paths)) {
    const usage = await volumeUsage(path);
    if (!usage) continue;
    set('pgherd_volume_used_bytes', 'Used bytes of a volume.', usage.usedBytes, { volume });
    set('pgherd_volume_size_bytes', 'Size of a volume.', usage.sizeBytes, { volume });
  }
  const wal = await walUsage(layout.pgdata);
  set('pgherd_wal_bytes', 'Bytes in pg_wal.', wal.bytes);
  set('pgherd_wal_files', 'Segments in pg_wal.', wal.files);
}

interface Numbers extends Record<string, unknown> {
  name: string;
}

async function database(query: ReadQuery, set: Set): Promise<void> {
  const backends = await query<{ database: string; state: string; n: string }>(
    `select coalesce(datname, '') as database, coalesce(state, 'none') as state, count(*) as n
     from pg_stat_activity where backend_type = 'client backend' group by 1, 2`,
  );
  for (const row of backends) {
    set('pgherd_backends', 'Sessions by state.', Number(row.n), { database: row.database, state: row.state });
  }
  const databases = await query<Numbers>(
    `select datname as name, pg_database_size(oid) as size_bytes, age(datfrozenxid) as frozen_xid_age,
       s.xact_commit, s.xact_rollback, s.blks_read, s.blks_hit, s.tup_returned, s.tup_fetched, s.tup_inserted,
       s.tup_updated, s.tup_deleted, s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks
     from pg_database d join pg_stat_database s using (datname) where datallowconn`,
  );
  for (const { name, ...numbers } of databases) {
    for (const [key, value] of Object.entries(numbers)) {
      set(`pgherd_database_${key}`, `${key} of pg_stat_database and pg_database.`, Number(value), {
        database: name,
      });
    }
  }
  const [recovery] = await query<{ lag: string | null; standby: boolean }>(
    `select pg_is_in_recovery() as standby, case when pg_is_in_recovery() then
       case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
         else extract(epoch from now() - pg_last_xact_replay_timestamp()) end end as lag`,
  );
  if (recovery?.lag != null)
    set('pgherd_replay_lag_seconds', 'Age of the last replayed transaction.', Number(recovery.lag));
  const slots = await query<{ name: string; active: boolean; bytes: string | null }>(
    `select slot_name as name, active, case when restart_lsn is not null then pg_wal_lsn_diff(
       case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn) end as bytes
     from pg_replication_slots`,
  );
  for (const { name: slot, active, bytes } of slots) {
    set('pgherd_slot_active', 'Whether a replication slot is in use.', Number(active), { slot });
    if (bytes !== null) set('pgherd_slot_retained_bytes', 'WAL that a slot keeps.', Number(bytes), { slot });
  }
}
