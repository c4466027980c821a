/** Trials in a file, so that a measurement that was cut off can be gone on with. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Found } from './table.ts';

/** The trials that a file holds; none if there is no such file. Throws for one that holds something else. */
export function readSaved(file: string): Found {
  if (!existsSync(file)) return new Map();
  const { trials } = JSON.parse(readFileSync(file, 'utf8')) as { trials: [string, never][] };
  return new Map(trials);
}

/** Writes all of them, so that a reader never sees half of it. */
export function save(file: string, found: Found): void {
  const next = `${file}.new`;
  writeFileSync(next, `${JSON.stringify({ trials: [...found] }, null, 1)}\n`);
  renameSync(next, file);
}
