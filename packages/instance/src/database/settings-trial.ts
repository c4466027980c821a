import { readFile } from 'node:fs/promises';
import {
  configPath,
  type Logger,
  type Postgres,
  refusals,
  renderSettings,
  type Settings,
} from '@pgherd/postgres';
import { InstanceError } from '../errors.ts';

/**
 * Lets PostgreSQL judge settings before they replace what it runs with. Those that are written already were judged
 * then. A trial that cannot be made refuses nothing: the reload will tell.
 * @throws InstanceError BadSettings, with what PostgreSQL has against them
 */
export async function tryOut(pg: Postgres, settings: Settings, scratch: string, log: Logger): Promise<void> {
  if ((await writtenSettings(pg.pgdata)) === renderSettings(settings)) return;
  const { bin, major, pgdata } = pg;
  const found = await refusals(settings, { bin, major, pgdata, scratch }).catch((error: Error) => {
    log.warn({ error: error.message }, 'the settings could not be tried out');
    return [];
  });
  if (found.length === 0) return;
  const told = found.map((sentence) => withField(sentence, settings));
  throw new InstanceError('BadSettings', told.join('; '), {
    hint: 'correct spec.postgresql; PostgreSQL goes on with the values it had',
  });
}

/** The settings that the next start would use; undefined when none were ever written. */
export function writtenSettings(pgdata: string): Promise<string | undefined> {
  return readFile(configPath(pgdata, 'settings'), 'utf8').catch(() => undefined);
}

/** A sentence of PostgreSQL after the field of the spec that it is about, where that can be told. */
function withField(sentence: string, settings: Settings): string {
  const parameter = /parameter "([^"]+)"/.exec(sentence)?.[1];
  if (parameter) return `spec.postgresql.parameters.${parameter}: ${sentence}`;
  const library = /could not (?:access file|load library) "(?:.*\/)?([^"/]+)"/.exec(sentence)?.[1];
  if (!library) return `spec.postgresql: ${sentence}`;
  const own = ['session_preload_libraries', 'local_preload_libraries'].find((name) =>
    settings[name]?.includes(library),
  );
  return `spec.postgresql.${own ? `parameters.${own}` : 'shared_preload_libraries'}: ${sentence}`;
}
