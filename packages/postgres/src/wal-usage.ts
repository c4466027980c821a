import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes and number of the segments in pg_wal. */
export async function walUsage(pgdata: string): Promise<{ files: number; bytes: number }> {
  const folder = join(pgdata, 'pg_wal');
  let files = 0;
  let bytes = 0;
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    if (!/^[0-9A-F]{24}/.test(name)) continue;
    const info = await stat(join(folder, name)).catch(() => undefined);
    if (!info) continue;
    files++;
    bytes += info.size;
  }
  return { files, bytes };
}

/** Used and total bytes of the file system that holds a path. */
export async function volumeUsage(
  path: string,
): Promise<{ usedBytes: number; sizeBytes: number } | undefined> {
  const info = await statfs(path).catch(() => undefined);
  if (!info) return undefined;
  return {
    usedBytes: (info.blocks - info.bfree) * info.bsize,
    sizeBytes: (info.blocks - info.bfree + info.bavail) * info.bsize,
  };
}
