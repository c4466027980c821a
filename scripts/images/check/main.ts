/** Tries the images: unpacks their archives and runs what is in them. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { say } from '../command.ts';
import { ARCHITECTURE, type ImageName, tagOf } from '../settings.ts';

/** How the checks learn where the archive of an image is. */
export function archiveVariable(name: ImageName): string {
  return `PGHERD_ARCHIVE_${name.toUpperCase()}`;
}

/** Runs the checks of the named images in `folder`; true when all passed. Takes about half a minute. */
export function checkImages(folder: string, names: readonly ImageName[]): boolean {
  say('Trying the images');
  const archives = names.map((name) => [
    archiveVariable(name),
    join(folder, `${name}-${tagOf(name)}-${ARCHITECTURE}.tar`),
  ]);
  const files = names.map((name) => join(import.meta.dirname, `${name}.check.ts`));
  const both = names.length > 1 ? [join(import.meta.dirname, 'together.check.ts')] : [];
  const result = spawnSync(process.execPath, ['--test', '--test-concurrency=1', ...files, ...both], {
    stdio: 'inherit',
    env: { ...process.env, ...Object.fromEntries(archives) },
  });
  return result.status === 0;
}
