/** New content for the volume out of a backup repository or another cluster: restored, replayed, promoted, proven. */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecoveredReport } from '@pgherd/api';
import {
  afterFailure,
  afterPromotion,
  type BackupOwner,
  type Catalogue,
  chooseRecovery,
  PostgresError,
  type RecoveryChoice,
  type RecoveryTarget,
  type RepositoryAccess,
  ReplayLog,
  readCatalogue,
  restoreBackup,
  restoreCommand,
  targetText,
  writeDurable,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';
import { inPrivate, type Workplace } from './fresh.ts';
import { emptyData, readNote, writeNote } from './volume.ts';
import { writeRecovered } from './recovered.ts';

/** What is to be restored, and up to where. */
export interface RecoverSpec {
  /** Which restoration this is, for the report. */
  id: string;
  access: RepositoryAccess;
  owner: BackupOwner;
  target: RecoveryTarget;
  /** The archive is whole up to here, milliseconds since 1970. */
  completeUntilMs?: number;
  /** Chosen beforehand. */
  chosen?: { backup: string; timeline: number };
  /** Processes of pgBackRest. */
  processes: number;
}

/** What a copy of a running server needs. */
export interface CloneSpec {
  id: string;
  /** libpq connection string, and who that is. */
  source: string;
  sourceName: string;
}

export interface RecoverHooks {
  signal: AbortSignal;
  onProgress(doing: string, done: number, total: number, unit: string): void;
}

/**
 * Restores a backup, replays WAL to the target and promotes there, all on a private socket; leaves the data unclaimed
 * and synced. An earlier try that was interrupted is gone on with. Throws InstanceError `RecoveryRefused` for what
 * another try cannot mend, and whatever pgBackRest or PostgreSQL said otherwise.
 */
export async function recover(w: Workplace, spec: RecoverSpec, hooks: RecoverHooks): Promise<{ systemID: string }> {
  const { signal, onProgress } = hooks;
  requireSupported(w);
  const run = { signal, onStart: w.onTool };
  onProgress('reads what the repository holds', 0, 0, '');
  const catalogue = await readCatalogue(spec.access, spec.owner, run);
  const choice = choose(catalogue, spec);
  const again = (await readNote(w.layout))?.phase === 'recovering' && isPartOfBackup(w.layout.pgdata);
  await writeNote(w.layout, 'recovering');
  if (!again) await emptyData(w.layout);
  await restoreBackup(
    spec.access,
    {
      stanza: catalogue.stanza,
      backup: choice.backup,
      pgdata: w.layout.pgdata,
      delta: again,
      processes: spec.processes,
    },
    { ...run, onProgress: (percent) => onProgress(`restores the backup ${choice.backup}`, percent, 100, '%') },
  );
  await moveWal(w);
  onProgress(`replays WAL to ${targetText(spec.target)}`, 0, 0, '');
  const facts = await replayArchive(w, spec, { catalogue, choice, signal });
  return finish(w, {
    id: spec.id,
    backup: choice.backup,
    target: targetText(spec.target),
    ...facts,
  });
}

/** Copies a running server, and begins a timeline of its own on the copy. */
export async function copyCluster(w: Workplace, spec: CloneSpec, hooks: RecoverHooks): Promise<{ systemID: string }> {
  const { signal, onProgress } = hooks;
  requireSupported(w);
  await writeNote(w.layout, 'recovering');
  await emptyData(w.layout);
  onProgress(`copies ${spec.sourceName}`, 0, 0, '');
  await w.pg.baseBackup({ source: spec.source, sourceName: spec.sourceName }, signal);
  onProgress('replays WAL', 0, 0, '');
  // The copy brought all the WAL it needs; what is not in it is not to be found anywhere.
  const { facts } = await replay(w, ['restore_command=false'], signal);
  return finish(w, { id: spec.id, backup: spec.sourceName, ...facts });
}

function requireSupported({ pg }: Workplace): void {
  if (pg.major < 12)
    throw new InstanceError('RecoveryRefused', `recovering with PostgreSQL ${pg.major}: it needs 12 or later`);
}

function choose(catalogue: Catalogue, { chosen, target, completeUntilMs }: RecoverSpec): RecoveryChoice {
  const wanted = chosen ? { ...target, backup: chosen.backup, timeline: String(chosen.timeline) } : target;
  const verdict = chooseRecovery(catalogue, wanted, {
    now: Date.now(),
    ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
  });
  if (!verdict.ok) throw new InstanceError('RecoveryRefused', `recovering to ${targetText(target)}: ${verdict.why}`);
  return verdict.choice;
}

/** What pgBackRest looks for before it keeps anything of a directory. */
function isPartOfBackup(pgdata: string): boolean {
  return existsSync(join(pgdata, 'backup.manifest')) || existsSync(join(pgdata, 'PG_VERSION'));
}

/** A backup is restored into one folder; where WAL has a volume of its own, it goes there. */
async function moveWal({ layout }: Workplace): Promise<void> {
  if (!layout.walDir) return;
  const inside = join(layout.pgdata, 'pg_wal');
  await mkdir(layout.walDir, { recursive: true, mode: 0o700 });
  for (const name of await readdir(layout.walDir)) await rm(join(layout.walDir, name), { recursive: true });
  await cp(inside, layout.walDir, { recursive: true });
  await rm(inside, { recursive: true });
  await symlink(layout.walDir, inside);
}

interface ReplayFacts {
  time?: string;
  lsn: string;
  xid: string;
  stopped?: string;
  timeline: number;
}

async function replayArchive(
  w: Workplace,
  spec: RecoverSpec,
  o: { catalogue: Catalogue; choice: RecoveryChoice; signal: AbortSignal },
): Promise<ReplayFacts> {
  const { catalogue, choice, signal } = o;
  const { target, completeUntilMs } = spec;
  const base = [
    `restore_command=${restoreCommand(spec.access, catalogue.stanza, w.layout.pgdata)}`,
    `recovery_target_timeline=${choice.timeline}`,
  ];
  const refuse = (why: string) =>
    new InstanceError('RecoveryRefused', `recovering to ${targetText(target)} from the backup ${choice.backup}: ${why}`);
  const attempt = async (settings: string[], wanted: RecoveryTarget | undefined) => {
    const { facts, log } = await replay(w, settings, signal);
    const verdict = afterPromotion(catalogue, choice.timeline, wanted, log.replay, facts.lsn);
    if (!verdict.ok) throw refuse(verdict.goOn ? 'it ended too soon' : verdict.why);
    return facts;
  };
  const settings = [...base, ...targetSettings(target)];
  try {
    return await attempt(settings, isTargeted(target) ? target : undefined);
  } catch (error) {
    if (!(error instanceof ReplayFailed)) throw error;
    const verdict = afterFailure(catalogue, target, error.log.replay, completeUntilMs);
    if (verdict.ok || !verdict.goOn) throw refuse(verdict.ok ? error.message : verdict.why);
  }
  const facts = await attempt(base, undefined);
  return { ...facts, stopped: `no transaction between the last one and ${targetText(target)}` };
}

function isTargeted({ time, lsn, xid, name, immediate }: RecoveryTarget): boolean {
  return Boolean(time || lsn || xid || name || immediate);
}

function targetSettings(target: RecoveryTarget): string[] {
  const { time, lsn, xid, name, immediate, exclusive } = target;
  const settings: string[] = [];
  if (time) settings.push(`recovery_target_time=${time.text}`);
  else if (lsn) settings.push(`recovery_target_lsn=${lsn}`);
  else if (xid) settings.push(`recovery_target_xid=${xid}`);
  else if (name) settings.push(`recovery_target_name=${name}`);
  else if (immediate) settings.push('recovery_target=immediate');
  if (settings.length > 0) settings.push('recovery_target_action=promote');
  if (exclusive) settings.push('recovery_target_inclusive=off');
  return settings;
}

/** PostgreSQL gave up while it replayed. */
class ReplayFailed extends Error {
  readonly log: ReplayLog;
  constructor(cause: PostgresError, log: ReplayLog) {
    super(cause.message, { cause });
    this.log = log;
  }
}

/** Nothing need survive a crash, for an interrupted try is restored again; and nobody can connect. */
const PRIVATE = [
  'listen_addresses=',
  'fsync=off',
  'ssl=off',
  'autovacuum=off',
  // Nothing is archived before the cluster has recorded its leader; what is to be archived stays marked.
  'archive_command=',
  // Without it, settings lower than those of the backed up server do not stop the replay.
  'hot_standby=off',
  'synchronous_standby_names=',
  'max_logical_replication_workers=0',
];

/** Runs a server that replays to its target and promotes there; then asks it where it is, and stops it. */
async function replay(
  w: Workplace,
  settings: string[],
  signal: AbortSignal,
): Promise<{ facts: ReplayFacts; log: ReplayLog }> {
  await w.config.writeAll({ standby: false, primaryConninfo: '', synchronousStandbyNames: '' });
  await w.config.closeDoors();
  await writeDurable(join(w.layout.pgdata, 'recovery.signal'), '');
  const log = new ReplayLog();
  const untap = w.listen((record) => log.take(record));
  let facts: ReplayFacts | undefined;
  try {
    await inPrivate(w, async () => {
      await w.pg.start({ args: [...PRIVATE, ...settings].flatMap((each) => ['-c', each]), signal });
      facts = await whereItIs(w, log);
    });
  } catch (error) {
    // The last lines may still be on their way.
    await sleep(100);
    if (error instanceof PostgresError && error.code === 'StartFailed') throw new ReplayFailed(error, log);
    throw error;
  } finally {
    untap();
  }
  return { facts: facts!, log };
}

async function whereItIs({ pg }: Workplace, log: ReplayLog): Promise<ReplayFacts> {
  const session = await pg.session();
  try {
    const [row] = await session.query<{ time: Date | null; lsn: string | null; xid: string; now: string; file: string }>(
      `select pg_last_xact_replay_timestamp() as time, pg_last_wal_replay_lsn()::text as lsn,
         (txid_snapshot_xmax(txid_current_snapshot()) - 1)::text as xid, pg_current_wal_lsn()::text as now,
         pg_walfile_name(pg_current_wal_insert_lsn()) as file`,
    );
    const { stopped } = log.replay;
    return {
      ...(row!.time ? { time: new Date(row!.time).toISOString() } : {}),
      lsn: row!.lsn ?? row!.now,
      xid: row!.xid,
      ...(stopped ? { stopped } : {}),
      timeline: Number.parseInt(row!.file.slice(0, 8), 16),
    };
  } finally {
    session.close();
  }
}

async function finish(
  w: Workplace,
  recovered: Omit<RecoveredReport, 'finishedAt'>,
): Promise<{ systemID: string }> {
  await w.pg.sync();
  await writeRecovered(w.layout, { ...recovered, finishedAt: new Date().toISOString() });
  await writeNote(w.layout, 'unclaimed');
  return { systemID: (await w.pg.controlData()).systemID };
}

