/**
 * Node as a folder that brings its own loader and C library, so that it starts in any Linux image: with an older
 * glibc, without libstdc++, with musl, or with nothing at all.
 */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';
import { ImageError } from './errors.ts';

/** Where the folder lies in every container: the loader's path stands in the program and must be absolute. */
export const PAYLOAD = '/pgherd';

/** Debian packages that hold the loader and the libraries. */
export const NODE_LIBRARIES = ['libc6', 'libgcc-s1', 'libstdc++6'];

/**
 * Writes `<folder>/bin/node` and `<folder>/lib`. `root` is an unpacked Debian with NODE_LIBRARIES. The program asks
 * for its loader by path and finds its libraries by RPATH, so `process.execPath`, `ps` and child processes are as
 * always; a wrapper around the loader would show the loader there, and LD_LIBRARY_PATH would reach children.
 */
export function writeSelfContainedNode(folder: string, node: string, root: string): void {
  const bin = join(folder, 'bin', 'node');
  const lib = join(folder, 'lib');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(lib, { recursive: true });
  // Symbols fill 18 MB and only a debugger reads them. Before patchelf: strip breaks what patchelf moved.
  run('strip', ['-o', bin, node]);
  const loader = run('patchelf', ['--print-interpreter', bin]).trim().split('/').at(-1)!;
  const wanted = new Set([loader, ...neededBy(bin)]);
  for (const name of wanted) {
    const source = findLibrary(root, name);
    const target = join(lib, name);
    copyFileSync(source, target);
    chmodSync(target, name === loader ? 0o755 : 0o644);
    for (const further of neededBy(source)) wanted.add(further);
  }
  run('patchelf', [
    '--force-rpath',
    '--set-rpath',
    `${PAYLOAD}/lib`,
    '--set-interpreter',
    `${PAYLOAD}/lib/${loader}`,
    bin,
  ]);
  chmodSync(bin, 0o755);
}

function neededBy(file: string): string[] {
  return run('patchelf', ['--print-needed', file]).split('\n').filter(Boolean);
}

function findLibrary(root: string, name: string): string {
  for (const top of ['lib', 'usr/lib', 'lib64']) {
    const folders = ['', ...subfolders(join(root, top))];
    for (const folder of folders) {
      const path = join(root, top, folder, name);
      try {
        return realpathSync(path);
      } catch {
        // Not in this folder.
      }
    }
  }
  throw new ImageError('archive', `looking for the library ${name} that Node needs, in ${root}: not there`, {
    hint: `It should come with one of the packages ${NODE_LIBRARIES.join(', ')}.`,
  });
}

function subfolders(path: string): string[] {
  try {
    return readdirSync(path).filter((name) => name.endsWith('-linux-gnu'));
  } catch {
    return [];
  }
}
