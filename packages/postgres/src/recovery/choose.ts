/** Where a recovery begins and which timeline it follows, so that it ends at its target and nowhere else. Pure. */
import { compareLsn } from '../lsn.ts';
import type { Catalogue, CatalogueBackup } from './catalogue.ts';
import { missingWal } from './gaps.ts';
import { isOnLine, lineTo, liveTimeline, type Stretch, timelineOf, withSuccessor } from './timelines.ts';

/** Where a recovery is to end; nothing given: at the end of the archive. */
export interface RecoveryTarget {
  /** The last commit that is kept is not after it. `text` is what PostgreSQL reads. */
  time?: { ms: number; text: string };
  lsn?: string;
  xid?: string;
  name?: string;
  /** As soon as the backup is consistent. */
  immediate?: boolean;
  /** `latest`, `current` (that of the backup), or a number. */
  timeline?: string;
  /** Stop just before the target instead of just after it. */
  exclusive?: boolean;
  /** Label of the backup to begin with. */
  backup?: string;
}

/** What can be recovered to, milliseconds since 1970. */
export interface RecoveryWindow {
  /** The end of the oldest usable backup. */
  firstMs?: number;
  /** When the last WAL came to the archive. */
  lastMs?: number;
}

export interface RecoveryChoice {
  backup: string;
  backupStopMs: number;
  /** Of the database when the backup is restored. */
  bytes: number;
  timeline: number;
}

export type Chosen =
  | { ok: true; choice: RecoveryChoice; window: RecoveryWindow }
  | { ok: false; why: string; window: RecoveryWindow };

export interface ChooseOptions {
  /** The present, milliseconds since 1970. */
  now: number;
  /** The archive will be complete up to here before the recovery begins. Default: what lies in it. */
  completeUntilMs?: number;
}

/** pgBackRest and the listing of the archive know whole seconds, rounded down. */
const SECOND = 1000;

/** What can be recovered to. */
export function recoveryWindow(catalogue: Catalogue, completeUntilMs?: number): RecoveryWindow {
  const first = catalogue.backups.find(({ error }) => !error);
  const archived = catalogue.timelines.flatMap(({ segments }) => segments.map(({ ms }) => ms + SECOND - 1));
  const last = Math.max(
    completeUntilMs ?? 0,
    archived.reduce((a, b) => Math.max(a, b), 0),
  );
  return {
    ...(first ? { firstMs: first.stopMs } : {}),
    ...(first && last > 0 ? { lastMs: Math.max(last, first.stopMs) } : {}),
  };
}

/** Chooses backup and timeline for a target, or says in words why it cannot be reached. */
export function chooseRecovery(catalogue: Catalogue, target: RecoveryTarget, options: ChooseOptions): Chosen {
  const window = recoveryWindow(catalogue, options.completeUntilMs);
  const refuse = (why: string): Chosen => ({ ok: false, why: `${why}; ${windowText(window)}`, window });
  if (catalogue.backups.length === 0) return refuse('there is no backup yet');
  const named = target.backup === undefined ? undefined : backupOf(catalogue, target.backup);
  if (target.backup !== undefined && !named)
    return refuse(
      `there is no backup ${target.backup}: the repository has ${catalogue.backups.map(({ label }) => label).join(', ')}`,
    );
  const outside = outsideWindow(target, window, options.now);
  if (outside) return refuse(outside);
  const timeline = timelineFor(catalogue, target, named, options.now);
  if (timeline === undefined) return refuse(`there is no timeline ${target.timeline} in the archive`);
  const line = lineTo(catalogue, timeline);
  const candidates = (named ? [named] : catalogue.backups.filter(({ error }) => !error)).filter((backup) =>
    isOnLine(line, backup.timeline, backup.stopLsn),
  );
  if (candidates.length === 0)
    return refuse(
      `${named ? `the backup ${named.label} does not lie` : 'no backup lies'} on the way to timeline ${timeline} (${lineText(line)})`,
    );
  const backup = beforeTarget(candidates, target);
  if (!backup)
    return refuse(
      `${named ? `the backup ${named.label} ends` : 'every backup on this timeline ends'} after the target ${targetText(target)}`,
    );
  const gap = missingWal(catalogue, line, backup, target.time?.ms);
  if (gap) return refuse(gap);
  return {
    ok: true,
    window,
    choice: {
      backup: backup.label,
      backupStopMs: backup.stopMs,
      bytes: backup.bytes,
      timeline: target.timeline === 'current' || target.immediate ? backup.timeline : timeline,
    },
  };
}

function backupOf(catalogue: Catalogue, label: string): CatalogueBackup | undefined {
  return catalogue.backups.find((backup) => backup.label === label);
}

function outsideWindow(target: RecoveryTarget, window: RecoveryWindow, now: number): string | undefined {
  if (!target.time) return undefined;
  const { ms, text } = target.time;
  if (ms > now) return `the target ${text} lies in the future`;
  if (window.firstMs !== undefined && ms < window.firstMs)
    return `the target ${text} lies before the end of the first backup`;
  if (window.lastMs !== undefined && ms > window.lastMs)
    return `the target ${text} lies after the last WAL in the archive`;
  return undefined;
}

function timelineFor(
  catalogue: Catalogue,
  target: RecoveryTarget,
  named: CatalogueBackup | undefined,
  now: number,
): number | undefined {
  const wish = target.timeline;
  if (wish === 'latest') return catalogue.timelines.at(-1)?.id;
  if (wish === 'current' && named) return named.timeline;
  if (wish !== undefined && wish !== 'current') {
    const id = /^0x/i.test(wish) ? Number.parseInt(wish, 16) : Number(wish);
    return timelineOf(catalogue, id)?.id;
  }
  if (target.immediate && named) return named.timeline;
  const live = liveTimeline(catalogue, target.time?.ms ?? now);
  return live === undefined ? undefined : withSuccessor(catalogue, live);
}

/** The newest backup that ends before the target; where positions cannot be compared, the oldest. */
function beforeTarget(candidates: CatalogueBackup[], target: RecoveryTarget): CatalogueBackup | undefined {
  const { time, lsn } = target;
  if (time) {
    const surely = candidates.filter(({ stopMs }) => stopMs + SECOND <= time.ms);
    const maybe = candidates.filter(({ stopMs }) => stopMs <= time.ms);
    return surely.at(-1) ?? maybe.at(-1);
  }
  if (lsn) return candidates.filter(({ stopLsn }) => compareLsn(stopLsn, lsn) <= 0).at(-1);
  // Nobody knows where a transaction or a name lies: from the oldest backup it is found for certain.
  if (target.xid !== undefined || target.name !== undefined) return candidates[0];
  return candidates.at(-1);
}

/** A target in words. */
export function targetText(target: RecoveryTarget): string {
  if (target.time) return target.time.text;
  if (target.lsn) return `LSN ${target.lsn}`;
  if (target.xid) return `transaction ${target.xid}`;
  if (target.name) return `restore point "${target.name}"`;
  return target.immediate ? 'the end of the backup' : 'the end of the archive';
}

function lineText(line: Stretch[]): string {
  return line.map(({ timeline, end }) => (end ? `${timeline} until ${end}` : `${timeline}`)).join(', then ');
}

/** A window in words, in UTC. */
function windowText({ firstMs, lastMs }: RecoveryWindow): string {
  if (firstMs === undefined || lastMs === undefined) return 'nothing can be recovered yet';
  return `recoverable from ${timeText(firstMs)} to ${timeText(lastMs)}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
