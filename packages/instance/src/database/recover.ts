/** New content for the volume out of a backup repository or another cluster: restored, replayed, promoted, proven. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecoveredReport } from '@pgherd/api';
import {
  afterFailure,
  afterPromotion,
  type BackupOwner,
  BROKEN_CONTENT,
  type Catalogue,
  chooseRecovery,
  damagedFiles,
  PostgresError,
  type RecoveryChoice,
  type RecoveryTarget,
  type ReplayVerdict,
  type RepositoryAccess,
  readCatalogue,
  reserveTimelines,
  restoreBackup,
  restoreCommand,
  targetText,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';
import type { Workplace } from './fresh.ts';
import { type Attempts, readAttempts, writeAttempts, writeRecovered } from './recovered.ts';
import { isTargeted, type ReplayFacts, ReplayFailed, replay, targetSettings } from './replay.ts';
import { emptyData, readNote, writeNote } from './volume.ts';

/** What is to be restored, and up to where. */
export interface RecoverSpec {
  /** Which restoration this is, for the report. */
  id: string;
  access: RepositoryAccess;
  owner: BackupOwner;
  target: RecoveryTarget;
  /** The archive is whole up to here, milliseconds since 1970. */
  completeUntilMs?: number;
  /** An archive that ends before a target time does not reach it. */
  needsProof?: boolean;
  /** The newest backup, whatever pgBackRest thinks of it: for a target that names none. */
  newest?: boolean;
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

interface RecoverHooks {
  signal: AbortSignal;
  onProgress(doing: string, done: number, total: number, unit: string): void;
  /** What pgBackRest says, a line each; default: nobody listens. */
  onLine?(line: string): void;
}

interface CountedHooks extends RecoverHooks {
  /** What it is made from is reached: this try counts. */
  begun(): Promise<void>;
}

/** So often is tried what another try might mend: a process that was killed, a network that broke. */
const ATTEMPTS = 5;
/** And for so long a repository that is not reached: its pod may only be starting. */
const UNREACHED_MS = 10 * 60_000;

/** Recovers, at most so many times; then says at once why no more is tried. */
export async function boundedRecovery(
  w: Workplace,
  spec: RecoverSpec | CloneSpec,
  hooks: RecoverHooks,
): Promise<{ systemID: string }> {
  const before = await readAttempts(w.layout, spec.id);
  if (before.failed) throw new InstanceError('RecoveryFailed', before.failed.message);
  const now = Date.now();
  const attempts: Attempts = { since: now, ...before };
  await writeAttempts(w.layout, attempts);
  // Counted before the work: a try that takes the manager with it is one too.
  const begun = async () => {
    attempts.count++;
    // One that is not reached later is waited for anew.
    delete attempts.since;
    await writeAttempts(w.layout, attempts);
  };
  const { count } = attempts;
  try {
    const all = { ...hooks, begun };
    return await ('sourceName' in spec ? copyCluster(w, spec, all) : recover(w, spec, all));
  } catch (error) {
    if (hooks.signal.aborted) throw error;
    const { message, hint } = error as Error & { hint?: string };
    const text = hint ? `${message} (${hint})` : message;
    const final = isFinal(error);
    const often =
      attempts.count > count ? attempts.count >= ATTEMPTS : now - (attempts.since ?? now) > UNREACHED_MS;
    if (!final && !often) throw error;
    const told = final ? text : `${text}; no more is tried`;
    await writeAttempts(w.layout, { ...attempts, failed: { message: told } });
    throw new InstanceError('RecoveryFailed', told, { cause: error });
  }
}

function isFinal(error: unknown): boolean {
  if (error instanceof InstanceError) return error.code === 'RecoveryRefused';
  if (!(error instanceof PostgresError)) return false;
  if (error.code === 'NoBackup') return true;
  return error.backrestError !== undefined && BROKEN_CONTENT.includes(error.backrestError);
}

/**
 * Restores a backup, replays WAL to the target and promotes there, all on a private socket; leaves the data unclaimed
 * and synced. An earlier try that was interrupted is gone on with. Throws InstanceError `RecoveryRefused` for what
 * another try cannot mend, and whatever pgBackRest or PostgreSQL said otherwise.
 */
export async function recover(
  w: Workplace,
  spec: RecoverSpec,
  hooks: CountedHooks,
): Promise<{ systemID: string }> {
  const { signal, onProgress, onLine } = hooks;
  requireSupported(w);
  const run = { signal };
  onProgress('reads what the repository holds', 0, 0, '');
  const catalogue = await readCatalogue(spec.access, spec.owner, run);
  const choice = choose(w, catalogue, spec);
  await hooks.begun();
  const again = (await readNote(w.layout))?.phase === 'recovering' && isPartOfBackup(w.layout.pgdata);
  await writeNote(w.layout, 'recovering');
  if (again) await nobodyRuns(w);
  else await emptyData(w.layout);
  const files = { stanza: catalogue.stanza, backup: choice.backup, processes: spec.processes };
  try {
    await restoreBackup(
      spec.access,
      { ...files, pgdata: w.layout.pgdata, delta: again },
      {
        ...run,
        ...(onLine ? { onLine } : {}),
        onProgress: (percent) => {
          const done = Math.round((choice.bytes * percent) / 100);
          onProgress(`restores the backup ${choice.backup}`, done, choice.bytes, 'bytes');
        },
      },
    );
  } catch (error) {
    const { references = [] } = catalogue.backups.find(({ label }) => label === choice.backup) ?? {};
    throw await withDamage(error, () => damagedFiles(spec.access, { ...files, references }, run));
  }
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
async function copyCluster(
  w: Workplace,
  spec: CloneSpec,
  hooks: CountedHooks,
): Promise<{ systemID: string }> {
  const { signal, onProgress } = hooks;
  requireSupported(w);
  let counted = Promise.resolve();
  const onBegun = () => {
    counted = hooks.begun();
  };
  await writeNote(w.layout, 'recovering');
  await emptyData(w.layout);
  onProgress(`copies ${spec.sourceName}`, 0, 0, '');
  const { source, sourceName } = spec;
  await w.pg.baseBackup({ source, sourceName, onBegun }, signal).finally(() => counted);
  onProgress('replays WAL', 0, 0, '');
  // The copy brought all the WAL it needs; what is not in it is not to be found anywhere.
  const { facts } = await replay(w, ['restore_command=false'], signal);
  return finish(w, { id: spec.id, backup: spec.sourceName, ...facts });
}

function requireSupported({ pg }: Workplace): void {
  if (pg.major < 12)
    throw new InstanceError(
      'RecoveryRefused',
      `recovering with PostgreSQL ${pg.major}: it needs 12 or later`,
    );
}

function choose({ pg }: Workplace, catalogue: Catalogue, spec: RecoverSpec): RecoveryChoice {
  const { chosen, target, newest, completeUntilMs } = spec;
  const label = chosen?.backup ?? target.backup ?? (newest ? catalogue.backups.at(-1)?.label : undefined);
  const wanted: RecoveryTarget = {
    ...target,
    ...(label === undefined ? {} : { backup: label }),
    ...(chosen ? { timeline: String(chosen.timeline) } : {}),
  };
  const verdict = chooseRecovery(catalogue, wanted, {
    now: Date.now(),
    major: pg.major,
    ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
  });
  if (!verdict.ok)
    throw new InstanceError('RecoveryRefused', `recovering to ${targetText(target)}: ${verdict.why}`);
  return verdict.choice;
}

/** pgBackRest stops at a file that it cannot unpack without naming it: then all are read, to name those at fault. */
async function withDamage(error: unknown, look: () => Promise<string[]>): Promise<unknown> {
  if (!isFinal(error)) return error;
  const damaged = await look().catch(() => []);
  if (damaged.length === 0) return error;
  const more = damaged.length > 5 ? ` and ${damaged.length - 5} more` : '';
  return new InstanceError(
    'RecoveryRefused',
    `${(error as Error).message}; damaged in the repository: ${damaged.slice(0, 5).join(', ')}${more}`,
    { cause: error },
  );
}

/** A server that was killed while it replayed leaves a file by which pgBackRest takes it for running. */
async function nobodyRuns({ pg, layout }: Workplace): Promise<void> {
  await pg.die();
  await rm(join(layout.pgdata, 'postmaster.pid'), { force: true });
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

async function replayArchive(
  w: Workplace,
  spec: RecoverSpec,
  o: { catalogue: Catalogue; choice: RecoveryChoice; signal: AbortSignal },
): Promise<ReplayFacts> {
  const { catalogue, choice, signal } = o;
  const { target, completeUntilMs, needsProof } = spec;
  const base = [
    `restore_command=${restoreCommand(spec.access, catalogue.stanza, w.layout.pgdata)}`,
    `recovery_target_timeline=${choice.timeline}`,
  ];
  const along = catalogue.timelines.length > 1 ? ` along timeline ${choice.timeline}` : '';
  // The same number or name may stand on a timeline that was left.
  const elsewhere = along !== '' && !target.timeline && Boolean(target.xid ?? target.name);
  const refuse = (why: string) =>
    new InstanceError(
      'RecoveryRefused',
      `recovering to ${targetText(target)} from the backup ${choice.backup}${along}: ${why}`,
      elsewhere ? { hint: 'if it happened on a timeline that was left since, name that one: targetTLI' } : {},
    );
  const failed = (verdict: ReplayVerdict, otherwise: string): Error => {
    if (verdict.ok || verdict.goOn) return refuse(otherwise);
    if (!verdict.again) return refuse(verdict.why);
    const text = `replaying WAL after the backup ${choice.backup}: ${verdict.why}`;
    return new PostgresError('StartFailed', text);
  };
  const attempt = async (settings: string[], end: { target?: RecoveryTarget; after?: number }) => {
    // Numbers of timelines rise with time: that is how their order is known later. PostgreSQL takes the first that
    // the archive does not know, so it must not find one that was left out.
    const highest = Math.max(...catalogue.timelines.map(({ id }) => id), 1);
    if (highest > catalogue.timelines.length) await reserveTimelines(w.layout.pgdata, highest + 1);
    const { facts, log } = await replay(w, settings, signal);
    const verdict = afterPromotion({ catalogue, timeline: choice.timeline, ...end }, log.replay, facts);
    if (!verdict.ok) throw failed(verdict, 'it ended too soon');
    return facts;
  };
  const settings = [...base, ...targetSettings(target)];
  try {
    return await attempt(settings, isTargeted(target) ? { target } : {});
  } catch (error) {
    if (!(error instanceof ReplayFailed)) throw error;
    const known = {
      ...(completeUntilMs === undefined ? {} : { completeUntilMs }),
      ...(needsProof ? { needsProof } : {}),
    };
    const verdict = afterFailure(catalogue, target, error.log.replay, known);
    if (verdict.ok || !verdict.goOn) throw failed(verdict, error.message);
  }
  // What has come to the archive since then may hold later ones.
  const facts = await attempt(base, target.time ? { after: target.time.ms } : {});
  const isKnown = (target.time?.ms ?? Number.POSITIVE_INFINITY) <= (completeUntilMs ?? 0);
  const until = `between the last one and ${targetText(target)}`;
  const stopped = isKnown
    ? `no transaction ${until}`
    : `the archive has no transaction ${until}; whether there was one, it does not tell`;
  return { ...facts, stopped };
}

async function finish(
  w: Workplace,
  recovered: Omit<RecoveredReport, 'finishedAt'>,
): Promise<{ systemID: string }> {
  await w.pg.sync();
  const incarnation = randomUUID();
  await writeRecovered(w.layout, {
    incarnation,
    recovered: { ...recovered, finishedAt: new Date().toISOString() },
  });
  await writeNote(w.layout, 'unclaimed', incarnation);
  return { systemID: (await w.pg.controlData()).systemID };
}
