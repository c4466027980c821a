/** Where a recovery begins and which timeline it follows, so that it ends at its target and nowhere else. Pure. */
import { compareLsn } from '../lsn.ts';
import type { Catalogue, CatalogueBackup } from './catalogue.ts';
import { missingWal, type Reach } from './gaps.ts';
import {
  isOnLine,
  lastArchived,
  lineTo,
  liveTimeline,
  type Stretch,
  timelineOf,
  withSuccessor,
} from './timelines.ts';
import { type ArchiveHole, archiveHole } from './whole.ts';

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
  /** Major version of the PostgreSQL that is to open what is restored. Default: any. */
  major?: number;
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
  const refuse = (why: string): Chosen => ({
    ok: false,
    why: `${why}; ${windowText(window, archiveHole(catalogue, options.now))}`,
    window,
  });
  const named = target.backup === undefined ? undefined : backupOf(catalogue, target.backup);
  const impossible = unsuitable(catalogue, target, options) ?? outsideWindow(target, window, options.now);
  if (impossible) return refuse(impossible);
  const timeline = timelineFor(catalogue, target, named, options.now);
  if (timeline === undefined) return refuse(`there is no timeline ${target.timeline} in the archive`);
  const line = lineTo(catalogue, timeline);
  const onLine = (named ? [named] : catalogue.backups).filter(({ timeline: id, stopLsn }) =>
    isOnLine(line, id, stopLsn),
  );
  const candidates = named ? onLine : onLine.filter(({ error }) => !error);
  if (candidates.length === 0) return refuse(noneOnLine(onLine, named, timeline, line));
  const [first, ...others] = beforeTarget(candidates, target);
  if (!first)
    return refuse(
      `${named ? `the backup ${named.label} ends` : 'every backup on this timeline ends'} after the target ${targetText(target)}`,
    );
  const beyond = afterArchive(catalogue, timeline, target);
  if (beyond) return refuse(beyond);
  const gapOf = (each: CatalogueBackup) => missingWal(catalogue, line, each, reachOf(target, each));
  const gap = gapOf(first);
  const backup = gap ? others.find((each) => !gapOf(each)) : first;
  if (!backup) return refuse(gap!);
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

/** What is wrong with the repository as a whole, or with the backup that is named. */
function unsuitable(
  catalogue: Catalogue,
  { backup }: RecoveryTarget,
  { major }: ChooseOptions,
): string | undefined {
  const { version, backups } = catalogue;
  if (major !== undefined && Number.parseInt(version, 10) !== major)
    return `the backups are of PostgreSQL ${version}, and this image has PostgreSQL ${major}: use an image of the same version`;
  if (backups.length === 0) return 'there is no backup yet';
  if (backup === undefined || backupOf(catalogue, backup)) return undefined;
  return `there is no backup ${backup}: the repository has ${backups.map(({ label }) => label).join(', ')}`;
}

function noneOnLine(
  onLine: CatalogueBackup[],
  named: CatalogueBackup | undefined,
  timeline: number,
  line: Stretch[],
): string {
  const damaged = onLine.map(({ label }) => label).join(', ');
  if (damaged)
    return `pgBackRest found damaged pages in every backup there is (${damaged}): name one of them to use it all the same`;
  const what = named ? `the backup ${named.label} does not lie` : 'no backup lies';
  return `${what} on the way to timeline ${timeline} (${lineText(line)})`;
}

function afterArchive(catalogue: Catalogue, timeline: number, target: RecoveryTarget): string | undefined {
  const end = lastArchived(catalogue, timeline)?.end;
  if (!target.lsn || end === undefined || compareLsn(target.lsn, end) < 0) return undefined;
  return `the target ${targetText(target)} lies after the last WAL in the archive, which ends at ${end}`;
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

/** Those that may be begun with, the best one first: the newest that ends before the target. */
function beforeTarget(candidates: CatalogueBackup[], target: RecoveryTarget): CatalogueBackup[] {
  const { time, lsn } = target;
  if (time) {
    const surely = candidates.filter(({ stopMs }) => stopMs + SECOND <= time.ms);
    const maybe = candidates.filter(({ stopMs }) => stopMs <= time.ms);
    return [...surely.slice(-1), ...maybe.slice(-1)].slice(0, 1);
  }
  if (lsn) return candidates.filter(({ stopLsn }) => compareLsn(stopLsn, lsn) <= 0).slice(-1);
  // Nobody knows where a transaction or a name lies: it is looked for in as much WAL as there is without a hole.
  if (target.xid !== undefined || target.name !== undefined) return candidates;
  return candidates.slice(-1);
}

function reachOf({ time, lsn, immediate }: RecoveryTarget, backup: CatalogueBackup): Reach {
  if (immediate) return { lsn: backup.stopLsn };
  return { ...(time ? { ms: time.ms } : {}), ...(lsn ? { lsn } : {}) };
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

/** A window in words, in UTC; without what a missing WAL file takes out of it. */
function windowText({ firstMs, lastMs }: RecoveryWindow, hole?: ArchiveHole): string {
  if (firstMs === undefined || lastMs === undefined) return 'nothing can be recovered yet';
  const span = (from: number, to: number) => `from ${timeText(from)} to ${timeText(to)}`;
  if (!hole) return `recoverable ${span(firstMs, lastMs)}`;
  if (hole.firstMs === undefined) return 'nothing can be recovered';
  if (hole.open) return `recoverable ${span(hole.firstMs, hole.lastMs ?? hole.firstMs)}`;
  const before =
    hole.lastMs !== undefined && hole.lastMs > firstMs ? `${span(firstMs, hole.lastMs)} and ` : '';
  return `recoverable ${before}${span(hole.firstMs, Math.max(lastMs, hole.firstMs))}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
