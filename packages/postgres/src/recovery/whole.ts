/** What of an archive can be recovered without a hole. Pure. */
import type { Catalogue, CatalogueBackup, Segment } from './catalogue.ts';
import { findHole, type Hole } from './gaps.ts';
import { isOnLine, lineTo, liveTimeline, type Stretch, timelineOf, withSuccessor } from './timelines.ts';

/** A WAL file that is missing, and what that means. Milliseconds since 1970. */
export interface ArchiveHole {
  /** Name of the file. Absent: no file is missing, but every backup lies on a timeline that was left before it ended. */
  file?: string;
  /** When the first file after it came to the archive: a backup that began later does not need it. */
  afterMs: number;
  /** The newest backup cannot be recovered past it: what was archived since is of no use yet. */
  open: boolean;
  /** From here on all can be recovered: while it is open, up to where the hole begins. Absent: nothing can be. */
  firstMs?: number;
  /** Where the hole begins. */
  lastMs?: number;
}

/** A file that comes a little later than the next one is no hole: several are archived at once. */
const SETTLED_MS = 30_000;

/**
 * The hole that shortens what can be recovered on the living timeline, if there is one. `waiting`: names of files that
 * are still to be archived.
 */
export function archiveHole(
  catalogue: Catalogue,
  now: number,
  waiting: ReadonlySet<string> = new Set(),
): ArchiveHole | undefined {
  const live = liveTimeline(catalogue, now);
  if (live === undefined) return undefined;
  const line = lineTo(catalogue, withSuccessor(catalogue, live));
  const good = catalogue.backups.filter(({ error }) => !error);
  const onLine = good.filter(({ timeline, stopLsn }) => isOnLine(line, timeline, stopLsn));
  const [oldest] = good;
  if (oldest && onLine.length === 0) return leftBehind(catalogue, oldest, good.at(-1)!);
  const holes = onLine.map((backup) => ({ backup, hole: findHole(catalogue, line, backup) }));
  const found = holes.flatMap(({ hole }) => hole ?? []).at(-1);
  const newest = holes.at(-1);
  if (!found || !newest) return undefined;
  const after = firstAfter(catalogue, line, found.file);
  if (waiting.has(found.file) || !after || now - after.ms < SETTLED_MS) return undefined;
  const open = newest.hole !== undefined;
  return { file: found.file, afterMs: after.ms, open, ...spanOf(holes, open) };
}

/** A restore went to a moment before them, by a backup of another repository. */
function leftBehind(catalogue: Catalogue, oldest: CatalogueBackup, newest: CatalogueBackup): ArchiveHole {
  const last = timelineOf(catalogue, newest.timeline)?.segments.at(-1)?.ms ?? 0;
  return {
    afterMs: newest.stopMs + 1,
    open: true,
    firstMs: oldest.stopMs,
    lastMs: Math.max(newest.stopMs, last),
  };
}

/** From the end of the oldest backup that leads as far as the newest one does; and the beginning of the hole. */
function spanOf(
  holes: { backup: CatalogueBackup; hole: Hole | undefined }[],
  open: boolean,
): Pick<ArchiveHole, 'firstMs' | 'lastMs'> {
  const usable = holes.filter(({ hole }) => !hole?.ofBackup);
  const newest = usable.at(-1);
  if (!newest) return {};
  const first = usable.find(({ hole }) => hole?.file === newest.hole?.file)!.backup.stopMs;
  const begins = holes.findLast(({ hole }) => hole)?.hole?.before?.ms;
  if (!open) return { firstMs: first, ...(begins === undefined ? {} : { lastMs: begins }) };
  return { firstMs: first, lastMs: Math.max(newest.backup.stopMs, newest.hole?.before?.ms ?? 0) };
}

function firstAfter(catalogue: Catalogue, line: Stretch[], file: string): Segment | undefined {
  const serial = file.slice(8);
  return line
    .filter(({ timeline }) => timeline >= Number.parseInt(file.slice(0, 8), 16))
    .flatMap(({ timeline }) => timelineOf(catalogue, timeline)?.segments ?? [])
    .find(({ name }) => name.slice(8) > serial);
}
