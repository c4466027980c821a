/** The promise this instance has given, kept on the volume outside PGDATA: no restart and no copy forgets it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeDurable } from '@pgherd/postgres';
import type { Layout } from './layout.ts';

/** The state of the Lease that was promised on. */
export interface PromiseNote {
  epoch: number;
  version: string;
}

const noteFile = (layout: Layout): string => join(layout.notes, 'promise.json');

/** The last promise; undefined when none was ever given. Throws on a note that cannot be read: it may bind us. */
export async function readPromise(layout: Layout): Promise<PromiseNote | undefined> {
  let text: string;
  try {
    text = await readFile(noteFile(layout), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { epoch, version } = JSON.parse(text) as PromiseNote;
  return { epoch, version };
}

/** Durable when it returns. A later note replaces an earlier one; nothing takes one away. */
export async function writePromise(layout: Layout, { epoch, version }: PromiseNote): Promise<void> {
  await mkdir(layout.notes, { recursive: true, mode: 0o700 });
  await writeDurable(noteFile(layout), `${JSON.stringify({ epoch, version })}\n`);
}
