/** One demo a state folder at a time: two of them would kill each other's primaries. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CliError } from '../errors.ts';

/**
 * Takes the demo's lock; the kernel gives it back if this process dies before it is released.
 * Throws CliError `refused` with the process that has it.
 */
export function lockDemo(state: string): { release(): void } {
  const owner = join(state, 'run', 'demo.pid');
  const database = new DatabaseSync(join(state, 'run', 'demo.lock'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new CliError('refused', `\`npm start\` runs already on ${state}, as process ${ownerOf(owner)}.`, {
      hint: 'Wait until it is done, or give this one a folder of its own with PGHERD_STATE.',
      cause,
    });
  }
  writeFileSync(owner, String(process.pid));
  return { release: () => database.close() };
}

function ownerOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '(not known yet)';
  }
}
