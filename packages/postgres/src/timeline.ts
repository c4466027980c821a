import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeDurable, writeDurable } from './files.ts';

/** One line of a history file: that timeline ended at this position. */
export interface TimelineSwitch {
  timeline: number;
  end: string;
  reason: string;
}

/** Name of the file in pg_wal that says where a timeline came from. */
export function historyName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
}

/** Parses the content of a `0000000N.history` file; comments and malformed lines are left out. */
export function parseHistory(text: string): TimelineSwitch[] {
  const switches: TimelineSwitch[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*(\d+)\s+([0-9a-fA-F]+\/[0-9a-fA-F]+)\s*(.*)$/.exec(line);
    if (match) switches.push({ timeline: Number(match[1]), end: match[2]!, reason: match[3]!.trim() });
  }
  return switches;
}

/** Highest timeline of which a history lies in pg_wal; 1 when there is none. Reserved numbers have no history. */
export async function highestHistory(pgdata: string): Promise<number> {
  let highest = 1;
  for (const { timeline, empty } of await histories(pgdata)) {
    if (!empty) highest = Math.max(highest, timeline);
  }
  return highest;
}

/** The ancestors of a timeline, oldest first; empty for timeline 1 or when the file is not there. */
export async function readHistory(pgdata: string, timeline: number): Promise<TimelineSwitch[]> {
  const path = join(pgdata, 'pg_wal', historyName(timeline));
  return parseHistory(await readFile(path, 'utf8').catch(() => ''));
}

/**
 * Makes the next promotion skip every timeline number below `next`, durably. PostgreSQL takes the first number
 * above its own for which it finds no history file; so numbers that others have used, or may have, get an empty
 * one. Followers ask for the file of each number in between and keep the empty ones too: only a start in recovery
 * stumbles over them, see dropReservations.
 */
export async function reserveTimelines(pgdata: string, next: number): Promise<void> {
  for (let timeline = 2; timeline < next; timeline++) {
    const path = join(pgdata, 'pg_wal', historyName(timeline));
    // Without a turn of the event loop: most often all are there, and nobody can write meanwhile.
    if (!existsSync(path)) await writeDurable(path, '');
  }
}

/**
 * To be called before every start in recovery: takes away the empty history files above all real ones. Recovery
 * aims at the newest timeline that has a file, and would refuse to start if that were an empty one: left behind by
 * a promotion that never came, or by a follower that was interrupted while it fetched the files.
 */
export async function dropReservations(pgdata: string): Promise<void> {
  const found = await histories(pgdata);
  const newest = Math.max(1, ...found.filter(({ empty }) => !empty).map((each) => each.timeline));
  for (const each of found) {
    if (each.empty && each.timeline > newest)
      await removeDurable(join(pgdata, 'pg_wal', historyName(each.timeline)));
  }
}

async function histories(pgdata: string): Promise<{ timeline: number; empty: boolean }[]> {
  const folder = join(pgdata, 'pg_wal');
  const names = await readdir(folder).catch(() => [] as string[]);
  const numbers = names
    .filter((name) => /^[0-9A-F]{8}\.history$/.test(name))
    .map((name) => Number.parseInt(name.slice(0, 8), 16));
  return Promise.all(
    numbers.map(async (timeline) => {
      const info = await stat(join(folder, historyName(timeline))).catch(() => undefined);
      return { timeline, empty: (info?.size ?? 0) === 0 };
    }),
  );
}
