/** Holes in the archive: PostgreSQL takes the first one for the end, and without a target it would open there. Pure. */
import { parseLsn } from '../lsn.ts';
import type { Catalogue, CatalogueBackup, Segment } from './catalogue.ts';
import { numberOfSegment, type Stretch, segmentName, segmentNumber, timelineOf } from './timelines.ts';

/**
 * The first WAL file that a recovery from `backup` along `line` lacks although later ones are there, in words.
 * With a target time, only a hole that surely comes before it counts.
 */
export function missingWal(
  catalogue: Catalogue,
  line: Stretch[],
  backup: CatalogueBackup,
  targetMs?: number,
): string | undefined {
  const from = line.findIndex(({ timeline }) => timeline === backup.timeline);
  let next = numberOfSegment(catalogue, backup.startWal);
  let before: Segment | undefined;
  for (const [index, { timeline, end }] of line.slice(from).entries()) {
    const segments = timelineOf(catalogue, timeline)?.segments ?? [];
    const present = new Map(segments.map((segment) => [numberOfSegment(catalogue, segment.name), segment]));
    const last = Math.max(...present.keys(), -1);
    // The file in which a timeline is left need not be there: the next timeline begins with a copy of it.
    const until = end === undefined ? last : segmentNumber(catalogue, parseLsn(end)) - 1;
    for (; next <= until; next++) {
      const segment = present.get(next);
      const needed = targetMs === undefined || before === undefined || before.ms + 999 < targetMs;
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
