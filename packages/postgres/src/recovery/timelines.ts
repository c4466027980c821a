/** Which timeline was the living one at a moment, and what leads there. Pure. */
import { compareLsn, formatLsn, parseLsn } from '../lsn.ts';
import type { Catalogue, CatalogueTimeline } from './catalogue.ts';

/** One stretch on the way to a timeline: this timeline, and where it was left for the next; the last has no end. */
export interface Stretch {
  timeline: number;
  end?: string;
}

export function timelineOf(catalogue: Catalogue, id: number): CatalogueTimeline | undefined {
  return catalogue.timelines.find((timeline) => timeline.id === id);
}

/**
 * When each timeline began, milliseconds since 1970, by its number. What the archive tells is only an upper bound: a
 * history file may come there late, or again. But numbers rise with time, and WAL of a timeline comes after its birth.
 */
function births({ timelines }: Catalogue): Map<number, number> {
  const born = new Map<number, number>();
  let later = Number.POSITIVE_INFINITY;
  for (const { id, bornMs = Number.POSITIVE_INFINITY, segments } of timelines.toReversed()) {
    later = Math.min(later, bornMs, segments[0]?.ms ?? Number.POSITIVE_INFINITY);
    born.set(id, id === 1 ? Number.NEGATIVE_INFINITY : later);
  }
  return born;
}

/**
 * The timeline on which the cluster lived at a moment: the one that began last before it. A restore to an earlier
 * point begins a new timeline, and what came after that point lives on only in the old one: to follow the newest
 * timeline blindly would end the recovery at the earlier restore.
 */
export function liveTimeline(catalogue: Catalogue, atMs: number): number | undefined {
  const born = births(catalogue);
  return catalogue.timelines.findLast(({ id }) => born.get(id)! <= atMs)?.id ?? catalogue.timelines[0]?.id;
}

/**
 * The timeline to follow so that all WAL of `id` is found. When a primary dies, the last file of its timeline never
 * comes to the archive by itself: what it held is in the first file of the timeline that its successor began.
 */
export function withSuccessor(catalogue: Catalogue, id: number): number {
  const last = timelineOf(catalogue, id)?.segments.at(-1);
  const children = catalogue.timelines.filter(({ history }) => history.at(-1)?.timeline === id);
  const heirs = children.filter(({ history }) => {
    const fork = segmentNumber(catalogue, parseLsn(history.at(-1)!.end));
    return last === undefined || fork > numberOfSegment(catalogue, last.name);
  });
  const heir = heirs.at(-1);
  if (!heir) return id;
  return heir.segments.length > 0 ? heir.id : withSuccessor(catalogue, heir.id);
}

/**
 * The way to a timeline, from its oldest ancestor. A recovery that aims at a timeline and ends before that one began
 * leaves a history in which an ancestor ends before it begins: such a one is no part of the way, and those before it
 * end where the way leaves them.
 */
export function lineTo(catalogue: Catalogue, id: number): Stretch[] {
  const line: Stretch[] = [{ timeline: id }];
  let end: string | undefined;
  for (const step of (timelineOf(catalogue, id)?.history ?? []).toReversed()) {
    end = end === undefined || compareLsn(step.end, end) < 0 ? step.end : end;
    line.unshift({ timeline: step.timeline, end });
  }
  return line.filter(({ end: left }, index) => {
    const begun = line[index - 1]?.end;
    return left === undefined || begun === undefined || compareLsn(begun, left) < 0;
  });
}

/** Whether a position of a timeline lies on the way. */
export function isOnLine(line: Stretch[], timeline: number, lsn: string): boolean {
  const stretch = line.find((each) => each.timeline === timeline);
  return stretch !== undefined && (stretch.end === undefined || compareLsn(lsn, stretch.end) <= 0);
}

/** Number of the WAL file that holds a position, counted from the beginning of all WAL. */
export function segmentNumber(catalogue: Catalogue, lsn: bigint): number {
  return Number(lsn / BigInt(catalogue.segmentBytes));
}

/** The same of a file by its name. */
export function numberOfSegment({ segmentBytes }: Catalogue, name: string): number {
  const perId = 0x1_0000_0000 / segmentBytes;
  return Number.parseInt(name.slice(8, 16), 16) * perId + Number.parseInt(name.slice(16), 16);
}

/** The name of a file by its number. */
export function segmentName({ segmentBytes }: Catalogue, timeline: number, number: number): string {
  const perId = 0x1_0000_0000 / segmentBytes;
  const part = (n: number) => n.toString(16).toUpperCase().padStart(8, '0');
  return part(timeline) + part(Math.floor(number / perId)) + part(number % perId);
}

/** The last WAL file on the way to a timeline, the position where it begins, and the one where it ends. */
export function lastArchived(
  catalogue: Catalogue,
  timeline: number,
): { name: string; start: string; end: string } | undefined {
  const last = lineTo(catalogue, timeline)
    .flatMap(({ timeline: id, end }) => {
      const until =
        end === undefined ? Number.POSITIVE_INFINITY : segmentNumber(catalogue, parseLsn(end) - 1n);
      const { segments = [] } = timelineOf(catalogue, id) ?? {};
      return segments.findLast(({ name }) => numberOfSegment(catalogue, name) <= until) ?? [];
    })
    .at(-1);
  if (!last) return undefined;
  const bytes = BigInt(catalogue.segmentBytes);
  const start = BigInt(numberOfSegment(catalogue, last.name)) * bytes;
  return { name: last.name, start: formatLsn(start), end: formatLsn(start + bytes) };
}
