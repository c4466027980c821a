import { chmod, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { configFiles, configPath, removeDurable, writeDurable } from './files.ts';

/** Settings by name; values as PostgreSQL reads them (units allowed). */
export type Settings = Record<string, string>;

const NAME = /^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/;

/** A value in quotes for postgresql.conf. Line breaks become spaces: the file format has no multi-line values. */
export function quoteSetting(value: string): string {
  return `'${value
    .replace(/[\r\n]+/g, ' ')
    .replace(/\\/g, '\\\\')
    .replace(/'/g, "''")}'`;
}

/** The text of a settings file; names that PostgreSQL cannot have are left out. */
export function renderSettings(settings: Settings): string {
  const lines = Object.entries(settings)
    .filter(([name]) => NAME.test(name))
    .map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  return `# Written by pgherd; changes made here are lost.\n${lines.join('\n')}\n`;
}

/** A libpq connection string out of its parts; absent values are left out. */
export function conninfo(parts: Record<string, string | number | undefined>): string {
  return Object.entries(parts)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}='${String(value).replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`)
    .join(' ');
}

/** What makes the difference between a primary and a standby, and between one standby and another. */
export interface RoleSettings {
  standby: boolean;
  /** libpq connection string of the upstream; empty: follow nobody. */
  primaryConninfo: string;
  primarySlotName?: string;
  /** Where a standby finds WAL that its upstream has no longer; absent: nowhere. */
  restoreCommand?: string;
  synchronousStandbyNames: string;
  /** New WAL segments are not filled with zeros: made at once, a little slower to write to. From PostgreSQL 12 on. */
  sparseWal?: boolean;
}

/** Writes our settings, and makes postgresql.conf include them. Returns whether anything changed. */
export async function writeSettings(pgdata: string, settings: Settings): Promise<boolean> {
  const changed = await writeDurable(configPath(pgdata, 'settings'), renderSettings(settings));
  await ensureIncludes(pgdata);
  return changed;
}

/**
 * Writes what belongs to the role of a server that is about to start: durable before it returns, also a signal file
 * that is to be there. One that is taken away may be back after a power cut, as it may be beside any primary. Returns
 * whether anything changed.
 */
export async function writeRole(pgdata: string, major: number, role: RoleSettings): Promise<boolean> {
  await ensureIncludes(pgdata);
  const changed = await writeRoleSettings(pgdata, major, role);
  if (major < 12) return changed;
  await removeDurable(join(pgdata, 'recovery.signal'));
  const signal = join(pgdata, 'standby.signal');
  if (role.standby) return (await writeDurable(signal, '')) || changed;
  // Without a word to the disk: at a restart in place nobody can write meanwhile.
  await rm(signal, { force: true });
  return changed;
}

/**
 * For a primary that runs: whoever starts a server in its place (`pg_ctl restart` by hand) gets a standby, never a
 * second primary. PostgreSQL looks at that file at a start only. Not for versions before 12.
 */
export async function startsAsStandby(pgdata: string, major: number): Promise<void> {
  if (major >= 12) await writeDurable(join(pgdata, 'standby.signal'), '', { sync: false });
}

/**
 * Writes the settings of the role alone, for the reload of a running server. `sync: false` is for where time
 * counts and a power cut does no harm, since every start writes them anew.
 */
export async function writeRoleSettings(
  pgdata: string,
  major: number,
  role: RoleSettings,
  o: { sync?: boolean } = {},
): Promise<boolean> {
  const standby: Settings = {
    primary_conninfo: role.standby ? role.primaryConninfo : '',
    primary_slot_name: (role.standby && role.primaryConninfo && role.primarySlotName) || '',
    restore_command: (role.standby && role.restoreCommand) || '',
    recovery_target_timeline: 'latest',
  };
  const always: Settings = {
    synchronous_standby_names: role.synchronousStandbyNames,
    ...(role.sparseWal && major >= 12 ? { wal_init_zero: 'off' } : {}),
  };
  const path = configPath(pgdata, 'role');
  if (major >= 12) return writeDurable(path, renderSettings({ ...always, ...standby }), o);
  const changed = await writeDurable(path, renderSettings(always), o);
  const recovery = join(pgdata, 'recovery.conf');
  if (!role.standby) {
    await removeDurable(recovery);
    return changed;
  }
  const given = Object.entries({ standby_mode: 'on', ...standby }).filter(([, value]) => value !== '');
  return (await writeDurable(recovery, renderSettings(Object.fromEntries(given)), o)) || changed;
}

/**
 * postgresql.conf stays as initdb wrote it (it knows the locale and the time zone), with our files included
 * last. ALTER SYSTEM would come after them: its file is emptied and made read-only, which PostgreSQL answers
 * with "permission denied".
 */
async function ensureIncludes(pgdata: string): Promise<void> {
  const path = join(pgdata, 'postgresql.conf');
  const text = await readFile(path, 'utf8').catch(() => '');
  const ours = [configFiles.settings, configFiles.role]
    .map((file) => `include_if_exists '${file}'`)
    .join('\n');
  await writeDurable(path, `${withoutIncludes(text)}\n${ours}\n`);
  await unlockAutoConf(pgdata);
  await writeDurable(configPath(pgdata, 'auto'), '');
  await chmod(configPath(pgdata, 'auto'), 0o400);
}

/** postgresql.conf as initdb wrote it. */
export function withoutIncludes(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^include_if_exists 'pgherd\./.test(line))
    .join('\n')
    .trimEnd();
}

/** pg_rewind writes over every file of the data directory and stumbles over a read-only one. */
export async function unlockAutoConf(pgdata: string): Promise<void> {
  await chmod(configPath(pgdata, 'auto'), 0o600).catch(() => undefined);
}
