/** What is remembered of a recovery: where it ended, and how often it was tried. On the volume, outside PGDATA. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecoveredReport } from '@pgherd/api';
import { writeDurable } from '@pgherd/postgres';
import type { Layout } from './layout.ts';

/** Tries at a recovery, and why no more are made. */
export interface Attempts {
  /** Which restoration. */
  id: string;
  /** Tries that reached what it is made from. */
  count: number;
  /** Since when that has not been reached, milliseconds since 1970. */
  since?: number;
  /** Why it is given up. */
  failed?: { message: string };
}

interface Note {
  incarnation: string;
  recovered: RecoveredReport;
}

/** Notes where the recovery ended that this content comes from. */
export const writeRecovered = (layout: Layout, note: Note) => write(layout, 'recovered.json', note);

/** Where the recovery of this content ended; nothing for content of another origin. */
export async function recoveredOf(
  layout: Layout,
  incarnation: string,
): Promise<{ recovered?: RecoveredReport }> {
  const note = await read<Note>(layout, 'recovered.json');
  return note?.incarnation === incarnation ? { recovered: note.recovered } : {};
}

export const writeAttempts = (layout: Layout, attempts: Attempts) =>
  write(layout, 'recovery-attempts.json', attempts);

/** Tries at this restoration so far. */
export async function readAttempts(layout: Layout, id: string): Promise<Attempts> {
  const known = await read<Attempts>(layout, 'recovery-attempts.json');
  return known?.id === id ? known : { id, count: 0 };
}

async function write(layout: Layout, name: string, value: object): Promise<void> {
  await mkdir(layout.notes, { recursive: true, mode: 0o700 });
  await writeDurable(join(layout.notes, name), `${JSON.stringify(value)}\n`);
}

async function read<T>(layout: Layout, name: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(join(layout.notes, name), 'utf8')) as T;
  } catch {
    return undefined;
  }
}
