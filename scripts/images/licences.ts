/** The licences of the npm packages that are bundled into our programs, as one text. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface LockEntry {
  version?: string;
  license?: string;
  dev?: boolean;
  optional?: boolean;
  link?: boolean;
}

/** Paths of the lock file's packages that our programs may carry, with version and licence; sorted. */
export function carriedPackages(
  lock: Record<string, LockEntry>,
): { path: string; name: string; about: string }[] {
  return Object.entries(lock)
    .filter(
      ([path, entry]) => path.startsWith('node_modules/') && !entry.dev && !entry.optional && !entry.link,
    )
    .map(([path, entry]) => ({
      path,
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      about: [entry.version, entry.license].filter(Boolean).join(', '),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** All their licence files, each under the package's name. `root` holds package-lock.json and node_modules. */
export function licenceText(root: string): string {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockEntry>;
  };
  return carriedPackages(lock.packages)
    .map(({ path, name, about }) => `${name} (${about})\n\n${licenceOf(join(root, path))}`)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

function licenceOf(folder: string): string {
  if (!existsSync(folder)) return '(not installed)\n';
  const files = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name));
  if (files.length === 0) return '(the package carries no licence file)\n';
  return files
    .sort()
    .map((name) => readFileSync(join(folder, name), 'utf8').trimEnd())
    .join('\n\n')
    .concat('\n');
}
