import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One line of a history file: that timeline ended at this position. */
export interface TimelineSwitch {
  timeline: number;
  end: string;
  reason: string;
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

/** Highest timeline of which a history file lies in pg_wal; 1 when there is none. */
export async function highestHistory(pgdata: string): Promise<number> {
  const names = await readdir(join(pgdata, 'pg_wal')).catch(() => [] as string[]);
  let highest = 1;
  for (const name of names) {
    if (/^[0-9A-F]{8}\.history$/.test(name))
      highest = Math.max(highest, Number.parseInt(name.slice(0, 8), 16));
  }
  return highest;
}

/** The ancestors of a timeline, oldest first; empty for timeline 1 or when the file is not there. */
export async function readHistory(pgdata: string, timeline: number): Promise<TimelineSwitch[]> {
  const name = `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
  return parseHistory(await readFile(join(pgdata, 'pg_wal', name), 'utf8').catch(() => ''));
}
