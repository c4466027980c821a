/** What fills an image. */
import { run } from './command.ts';

export interface Entry {
  path: string;
  size: number;
}

/** The regular files of a tar archive. */
export function entriesOf(tar: string): Entry[] {
  return parseListing(run('tar', ['--list', '--verbose', '--numeric-owner', '--full-time', `--file=${tar}`]));
}

/** Reads `tar -tv`: mode, owner, size, date, time, path. */
export function parseListing(text: string): Entry[] {
  return text.split('\n').flatMap((line) => {
    const match = /^-\S+\s+\S+\s+(\d+)\s+\S+\s+\S+\s+(?:\.\/)?(.*)$/.exec(line);
    return match ? [{ size: Number(match[1]), path: `/${match[2]}` }] : [];
  });
}

/**
 * The parts that fill an image, largest first: every file of at least `least` bytes by itself, all other files
 * under the folder they are in, two or three levels down; what is smaller than `least` even so is one part.
 */
export function partsOf(entries: Entry[], least: number): Entry[] {
  const parts = new Map<string, number>();
  for (const { path, size } of entries) {
    const key = size >= least ? path : `${path.split('/').slice(0, 4).join('/')} (other files)`;
    parts.set(key, (parts.get(key) ?? 0) + size);
  }
  const shown: Entry[] = [];
  let rest = 0;
  for (const [path, size] of parts) {
    if (size >= least) shown.push({ path, size });
    else rest += size;
  }
  shown.sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1));
  return rest > 0 ? [...shown, { path: 'all else', size: rest }] : shown;
}

/** Bytes as people read them. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
