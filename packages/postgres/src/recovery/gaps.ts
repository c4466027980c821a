/** Holes in the archive: PostgreSQL takes the first one for the end, and without a target it would open there. Pure. */
import { parseLsn } from '../lsn.ts';
import type { Catalogue, CatalogueBackup, Segment } from './catalogue.ts';
import { numberOfSegment, type Stretch, segmentName, segmentNumber, timelineOf } from './timelines.ts';

/** Up to where WAL is needed; nothing given: to the end. */
export interface Reach {
  /** A time, milliseconds since 1970. */
  ms?: number;
  lsn?: string;
}

/** A file that is missing on a way, although it is needed. */
export interface Hole {
  /** Its name. */
  file: string;
  /** The last file before it, on the way from the backup. */
  before?: Segment;
  /** It lies within what the backup needs by itself. */
  ofBackup: boolean;
}

/**
 * The first WAL file that a recovery from `backup` along `line` lacks although later ones are there, in words.
 * A hole counts unless it may come after what is wanted: what is behind that may be gone, by the rules of retention too.
 */
export function missingWal(
  catalogue: Catalogue,
  line: Stretch[],
  backup: CatalogueBackup,
  reach: Reach = {},
): string | undefined {
  const hole = findHole(catalogue, line, backup, reach);
  if (!hole) return undefined;
  const whose = hole.file === backup.stopWal ? `, which the backup ${backup.label} needs` : '';
  return `the WAL file ${hole.file} is missing in the archive${whose}`;
}

/** The same, as facts. */
export function findHole(
  catalogue: Catalogue,
  line: Stretch[],
  backup: CatalogueBackup,
  { ms, lsn }: Reach = {},
): Hole | undefined {
  const furthest = lsn === undefined ? Number.POSITIVE_INFINITY : segmentNumber(catalogue, parseLsn(lsn));
  const from = line.findIndex(({ timeline }) => timeline === backup.timeline);
  const stop = numberOfSegment(catalogue, backup.stopWal);
  let next = numberOfSegment(catalogue, backup.startWal);
  let before: Segment | undefined;
  const isNeeded = () => ms === undefined || before === undefined || before.ms + 999 < ms;
  const holeAt = (timeline: number, number: number, ofBackup: boolean): Hole => ({
    file: segmentName(catalogue, timeline, number),
    ...(before ? { before } : {}),
    ofBackup,
  });
  for (const [index, { timeline, end }] of line.slice(from).entries()) {
    const segments = timelineOf(catalogue, timeline)?.segments ?? [];
    const present = new Map(segments.map((segment) => [numberOfSegment(catalogue, segment.name), segment]));
    const last = Math.max(...present.keys(), -1);
    // The file in which a timeline is left need not be there: the next timeline begins with a copy of it.
    const until = end === undefined ? last : segmentNumber(catalogue, parseLsn(end)) - 1;
    for (; next <= Math.min(until, furthest); next++) {
      const segment = present.get(next);
      if (!segment && isNeeded()) return holeAt(timeline, next, index === 0 && next <= stop);
      before = segment ?? before;
    }
    if (index === 0 && end === undefined && last < stop) return holeAt(timeline, stop, true);
  }
  return undefined;
}
