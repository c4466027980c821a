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

/**
 * The first WAL file that a recovery from `backup` along `line` lacks although later ones are there, in words.
 * A hole counts unless it may come after what is wanted: what is behind that may be gone, by the rules of retention too.
 */
export function missingWal(
  catalogue: Catalogue,
  line: Stretch[],
  backup: CatalogueBackup,
  { ms, lsn }: Reach = {},
): string | undefined {
  const furthest = lsn === undefined ? Number.POSITIVE_INFINITY : segmentNumber(catalogue, parseLsn(lsn));
  const from = line.findIndex(({ timeline }) => timeline === backup.timeline);
  let next = numberOfSegment(catalogue, backup.startWal);
  let before: Segment | undefined;
  for (const [index, { timeline, end }] of line.slice(from).entries()) {
    const segments = timelineOf(catalogue, timeline)?.segments ?? [];
    const present = new Map(segments.map((segment) => [numberOfSegment(catalogue, segment.name), segment]));
    const last = Math.max(...present.keys(), -1);
    // The file in which a timeline is left need not be there: the next timeline begins with a copy of it.
    const until = end === undefined ? last : segmentNumber(catalogue, parseLsn(end)) - 1;
    for (; next <= Math.min(until, furthest); next++) {
      const segment = present.get(next);
      const needed = ms === undefined || before === undefined || before.ms + 999 < ms;
      if (!segment && needed)
        return `the WAL file ${segmentName(catalogue, timeline, next)} is missing in the archive`;
      before = segment ?? before;
    }
    const stop = numberOfSegment(catalogue, backup.stopWal);
    if (index === 0 && end === undefined && last < stop)
      return `the WAL file ${segmentName(catalogue, timeline, stop)} is missing in the archive, which the backup ${backup.label} needs`;
  }
  return undefined;
}
