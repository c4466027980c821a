import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurable } from '@pgherd/postgres';
import type { Layout } from './layout.ts';

/**
 * What was last done to the content of the volume. Those in the middle of something mean, when a manager
 * finds them at its start, that this something was never completed.
 */
export type VolumePhase =
  | 'initialising'
  | 'recovering'
  | 'unclaimed'
  | 'claimed'
  | 'copying'
  | 'copied'
  | 'rewinding';

export interface VolumeNote {
  phase: VolumePhase;
  /** Random id of the content: renewed by each initialisation and each copy. */
  incarnation: string;
}

const noteFile = (layout: Layout): string => join(layout.notes, 'volume.json');

/** The note about the volume's content; undefined when there is none that can be read. */
export async function readNote(layout: Layout): Promise<VolumeNote | undefined> {
  const text = await readFile(noteFile(layout), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { phase, incarnation } = JSON.parse(text) as Partial<VolumeNote>;
    return phase && incarnation ? { phase, incarnation } : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the note, durably; without an incarnation, the content gets a new one. */
export async function writeNote(
  layout: Layout,
  phase: VolumePhase,
  incarnation?: string,
): Promise<VolumeNote> {
  const note = { phase, incarnation: incarnation ?? randomUUID() };
  await mkdir(layout.notes, { recursive: true, mode: 0o700 });
  await writeDurable(noteFile(layout), `${JSON.stringify(note)}\n`);
  return note;
}

/** True when PGDATA is missing or has nothing in it; what cannot be read is not known to be empty. */
export async function isEmpty(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** Empties PGDATA and the WAL folder, but keeps PGDATA itself, which may be a mount point. */
export async function emptyData(layout: Layout): Promise<void> {
  for (const folder of [layout.pgdata, layout.walDir]) {
    if (!folder) continue;
    for (const name of await readdir(folder).catch(() => [])) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}
