/** The folder `/pgherd` that every pod of ours carries: Node, and our programs as one file each. */
import { createHash } from 'node:crypto';
import { chmod, copyFile, link, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { programFiles } from './programs/files.ts';

/** The files of the payload apart from Node, and how each may be used. */
const FILES = {
  guard: 0o755,
  'manager.mjs': 0o644,
  'operator.mjs': 0o644,
  'pgbackrest-archive': 0o755,
  'pgbackrest-fetch': 0o755,
  'pgherd.mjs': 0o644,
  'repository.mjs': 0o644,
  'verify.mjs': 0o644,
} as const;

/** A file of the payload, not yet written anywhere. */
interface PayloadFile {
  name: string;
  content: Uint8Array;
  mode: number;
}

/** What the payload holds apart from Node, and a short name for just that content. */
export interface Payload {
  files: PayloadFile[];
  /** The first 12 hex digits of a hash over names and contents. */
  hash: string;
}

export interface BuildOptions {
  /**
   * How `bin/node` gets there: a copy (for images), or a symbolic link to a path where the pod will find it. Local
   * mode links, since a copy in each pod costs 120 MB of disk and page cache.
   */
  node?: 'copy' | { linkTo: string };
}

/** The payload of this version. Throws CliError where it must be bundled and the sources are not there. */
export async function bundlePayload(): Promise<Payload> {
  const programs = await programFiles();
  const files = Object.entries(FILES).map(([name, mode]) => ({ name, content: programs.get(name)!, mode }));
  return { files, hash: hashOf(files.map(({ name, content }) => [name, content])) };
}

/** The first 12 hex digits of a hash over names and contents. */
export function hashOf(files: [string, Uint8Array][]): string {
  const hash = createHash('sha256');
  for (const [name, content] of files) hash.update(`${name}\0${content.length}\0`).update(content);
  return hash.digest('hex').slice(0, 12);
}

/** Writes a bundled payload into an empty or missing folder, readable by any user. */
export async function writePayload(dir: string, payload: Payload, options: BuildOptions = {}): Promise<void> {
  await mkdir(join(dir, 'bin'), { recursive: true, mode: 0o755 });
  for (const file of payload.files) {
    const path = join(dir, file.name);
    await writeFile(path, file.content, { mode: file.mode });
    await chmod(path, file.mode);
  }
  const node = join(dir, 'bin', 'node');
  await rm(node, { force: true });
  if (options.node !== undefined && options.node !== 'copy') await symlink(options.node.linkTo, node);
  else await placeNode(node);
}

/** Puts the running Node at `path`: a hard link where the file system allows, else a copy. */
export async function placeNode(path: string): Promise<void> {
  const source = process.execPath;
  try {
    await link(source, path);
  } catch {
    await copyFile(source, path);
    await chmod(path, 0o755);
  }
}

/** Bundles and writes the payload; the way to fill an image. */
export async function buildPayload(dir: string, options: BuildOptions = {}): Promise<Payload> {
  const payload = await bundlePayload();
  await writePayload(dir, payload, options);
  return payload;
}
