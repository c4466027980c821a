import { chmod, mkdir, open, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Writes a small file so that it is there, whole, after a power cut, and returns whether it changed.
 * A file that already has this content is left alone. With `sync: false` it is whole for every reader, but a power
 * cut may take it back.
 */
export async function writeDurable(
  path: string,
  text: string,
  o: { mode?: number; sync?: boolean } = {},
): Promise<boolean> {
  const { mode = 0o600, sync = true } = o;
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return false;
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(text);
    if (sync) await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  if (sync) await syncFolder(dirname(path));
  return true;
}

/** Removes a file durably; a missing one is fine. */
export async function removeDurable(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch {
    return;
  }
  await syncFolder(dirname(path));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes a folder that only we may enter. */
export async function privateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
}

/** Bits that PostgreSQL does not start with (others, writing by the group), and those that we need. */
const FORBIDDEN = 0o027;
const NEEDED = 0o700;

/** Takes a data directory away from others, as PostgreSQL demands it; one that is not ours stays as it is. */
export async function closeFolder(path: string): Promise<void> {
  const mode = await stat(path).then(
    (found) => found.mode,
    () => undefined,
  );
  if (mode === undefined || ((mode & FORBIDDEN) === 0 && (mode & NEEDED) === NEEDED)) return;
  await chmod(path, NEEDED).catch(() => undefined);
}

/** Where the parts of our configuration lie in a data directory. */
export const configFiles = {
  settings: 'pgherd.conf',
  role: 'pgherd.role.conf',
  hba: 'pg_hba.conf',
  ident: 'pg_ident.conf',
  auto: 'postgresql.auto.conf',
} as const;

/** Path of one of those files. */
export function configPath(pgdata: string, file: keyof typeof configFiles): string {
  return join(pgdata, configFiles[file]);
}
