/** Whether PostgreSQL would start with some settings, found out before they are written to where it looks. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { PostgresError } from './errors.ts';
import { plainLine } from './server-log.ts';
import { renderSettings, type Settings, withoutIncludes } from './settings.ts';
import { runTool } from './tool.ts';

export interface TrialOptions {
  bin: string | undefined;
  major: number;
  pgdata: string;
  /** A folder in which we may make another. */
  scratch: string;
}

const TRIAL_MS = 15_000;
const MIB = 2n ** 20n;

/**
 * What PostgreSQL has against these settings, a sentence each; empty where it would start. Asks the binaries
 * themselves, on a data directory that has nothing but the control file: they read the settings, load the libraries
 * and reckon the memory, and end. Takes some 50 ms; the server that may run is not touched.
 */
export async function refusals(settings: Settings, o: TrialOptions): Promise<string[]> {
  const folder = await mkdtemp(join(o.scratch, 'trial-'));
  try {
    await mkdir(join(folder, 'global'));
    await copyFile(join(o.pgdata, 'PG_VERSION'), join(folder, 'PG_VERSION'));
    await copyFile(join(o.pgdata, 'global/pg_control'), join(folder, 'global/pg_control'));
    const made = await readFile(join(o.pgdata, 'postgresql.conf'), 'utf8');
    await writeFile(join(folder, 'postgresql.conf'), `${withoutIncludes(made)}\ninclude 'pgherd.conf'\n`);
    await writeFile(join(folder, 'postgresql.auto.conf'), '');
    await writeFile(join(folder, 'pgherd.conf'), renderSettings(settings));
    return await ask(folder, librariesOf(settings), o);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Everything that a session or the server loads: one that is not there would let nobody in any more. */
function librariesOf(settings: Settings): string[] {
  const named = (name: string) =>
    (settings[name] ?? '')
      .split(',')
      .map((library) => library.trim().replace(/^"(.*)"$/, '$1'))
      .filter(Boolean);
  const local = named('local_preload_libraries').map((name) =>
    name.includes('/') ? name : `$libdir/plugins/${name}`,
  );
  return [...named('shared_preload_libraries'), ...named('session_preload_libraries'), ...local];
}

async function ask(folder: string, libraries: string[], o: TrialOptions): Promise<string[]> {
  // Reckoned, so that everything which could refuse has been asked by then; older ones can only read the file.
  const value = o.major >= 15 ? 'shared_memory_size' : 'port';
  try {
    const loaded = libraries.length > 0 ? ['-c', `shared_preload_libraries=${libraries.join(',')}`] : [];
    const said = await runTool('postgres', ['-D', folder, ...loaded, '-C', value], {
      bin: o.bin,
      doing: 'trying the settings',
      timeoutMs: TRIAL_MS,
    });
    return o.major >= 15 ? tooMuchMemory(said) : [];
  } catch (error) {
    if (error instanceof PostgresError && error.code === 'ToolFailed') return sentences(error.output ?? []);
    throw error;
  }
}

function tooMuchMemory(said: string): string[] {
  const wanted = BigInt(said.trim().split('\n').at(-1) ?? '0') * MIB;
  const there = BigInt(Math.min(process.constrainedMemory() || totalmem(), totalmem()));
  if (wanted <= there) return [];
  return [
    `the settings ask for ${wanted / MIB} MB of shared memory, and there are ${there / MIB} MB: lower shared_buffers, max_connections or max_locks_per_transaction`,
  ];
}

/** The lines that say why, without what is ours: times, levels, and the folder of the trial. */
export function sentences(output: string[]): string[] {
  const lines = output
    .map(plainLine)
    .map((line) =>
      line
        .replace(/^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] /, '')
        .replace(/^(LOG|FATAL|ERROR|WARNING|HINT|DETAIL|postgres): +/, '')
        .replace(/ in file ".*?pgherd\.conf" line \d+/, ''),
    )
    .filter((line) => line.trim() !== '' && !/skipping missing configuration file/.test(line));
  const telling = lines.filter((line) => !/configuration file ".*" contains errors/.test(line));
  return telling.length > 0 ? telling : lines;
}
