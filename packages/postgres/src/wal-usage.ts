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

/**
 * - `full`: too little is left for PostgreSQL to be started: its recovery needs a segment or two, and a segment
 *   that cannot be written ends it.
 * - `low`: it runs, but somebody should make space.
 */
export type VolumeLevel = 'fine' | 'low' | 'full';

export interface Usage {
  usedBytes: number;
  sizeBytes: number;
}

const MIB = 1 << 20;
const FULL_BYTES = 32 * MIB;
const LOW_SHARE = 0.02;
const LEAST_LOW_BYTES = 64 * MIB;
const MOST_LOW_BYTES = 1024 * MIB;

export function volumeLevel({ usedBytes, sizeBytes }: Usage): VolumeLevel {
  const left = sizeBytes - usedBytes;
  if (left < FULL_BYTES) return 'full';
  return left < Math.min(Math.max(sizeBytes * LOW_SHARE, LEAST_LOW_BYTES), MOST_LOW_BYTES) ? 'low' : 'fine';
}

/** Used and total bytes of the file system that holds a path, as far as we may fill it. */
export async function volumeUsage(path: string): Promise<Usage | undefined> {
  const info = await statfs(path).catch(() => undefined);
  if (!info) return undefined;
  return {
    usedBytes: (info.blocks - info.bfree) * info.bsize,
    sizeBytes: (info.blocks - info.bfree + info.bavail) * info.bsize,
  };
}
