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
  count: number;
  /** Why it is given up. */
  failed?: { code: string; message: string };
}

export const writeRecovered = (layout: Layout, recovered: RecoveredReport) =>
  write(layout, 'recovered.json', recovered);

/** Where the recovery of this volume's content ended; undefined for content of another origin. */
export const readRecovered = (layout: Layout) => read<RecoveredReport>(layout, 'recovered.json');

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
