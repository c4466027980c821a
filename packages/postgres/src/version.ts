import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PostgresError } from './errors.ts';
import { runTool } from './tool.ts';

/** A folder on PATH counts only with all of these: distributions link a few of them into /usr/bin. */
const TOOLS = ['postgres', 'initdb', 'pg_controldata', 'pg_basebackup', 'pg_rewind'];
const DEBIAN_ROOT = '/usr/lib/postgresql';

/** Folder that holds `postgres` and `initdb`: the given one, PATH, or Debian's newest; undefined means PATH. */
export async function findBinaries(preferredMajor?: number): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    if (folder && TOOLS.every((tool) => existsSync(join(folder, tool)))) return folder;
  }
  const majors = (await readdir(DEBIAN_ROOT).catch(() => [] as string[]))
    .filter((name) => /^\d+$/.test(name) && existsSync(join(DEBIAN_ROOT, name, 'bin', 'postgres')))
    .map(Number)
    .sort((a, b) => b - a);
  const major = preferredMajor !== undefined && majors.includes(preferredMajor) ? preferredMajor : majors[0];
  if (major === undefined) {
    throw new PostgresError(
      'BinariesMissing',
      `looking for PostgreSQL: no server binaries on PATH or in ${DEBIAN_ROOT}`,
      {
        hint: 'use an image with the PostgreSQL server, or install the package postgresql',
      },
    );
  }
  return join(DEBIAN_ROOT, String(major), 'bin');
}

/** Major version out of `postgres (PostgreSQL) 15.14 (Debian ...)`. */
export function parseVersion(text: string): { major: number; full: string } {
  const match = /(\d+)(?:\.(\d+))?/.exec(text.replace(/^.*?\)\s*/, ''));
  if (!match)
    throw new PostgresError('ToolFailed', `reading the version of PostgreSQL out of "${text.trim()}"`);
  return { major: Number(match[1]), full: match[0] };
}

/** Version of the binaries in a folder. */
export async function binaryVersion(bin: string | undefined): Promise<{ major: number; full: string }> {
  return parseVersion(
    await runTool('postgres', ['--version'], {
      bin,
      doing: 'asking PostgreSQL for its version',
      timeoutMs: 10_000,
    }),
  );
}

/** Major version that a data directory belongs to, or undefined when there is none. */
export async function dataVersion(pgdata: string): Promise<number | undefined> {
  const text = await readFile(join(pgdata, 'PG_VERSION'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}
