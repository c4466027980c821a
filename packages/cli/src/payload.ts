/** The folder `/pgherd` that every pod of ours carries: Node, and our programs as one file each. */
import { createHash } from 'node:crypto';
import { chmod, copyFile, link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from './errors.ts';

/** Where the packages lie when this runs from a checkout. */
const ROOT = join(import.meta.dirname, '..', '..', '..');

/** The programs of the payload and where each begins. */
const PROGRAMS = {
  'manager.mjs': 'packages/instance/src/main.ts',
  'operator.mjs': 'packages/operator/src/main.ts',
  'pgherd.mjs': 'packages/cli/src/main.ts',
} as const;

const GUARD = 'packages/instance/src/guard.sh';

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

/**
 * Bundles our programs. Takes about a second; throws CliError where the sources are not there.
 */
export async function bundlePayload(): Promise<Payload> {
  const { build } = await import('esbuild');
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.entries(PROGRAMS).map(([name, entry]) => ({
      in: join(ROOT, entry),
      out: name.replace(/\.mjs$/, ''),
    })),
    outdir: '/',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Some dependencies are CommonJS and call require() for Node's own modules.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    external: ['pg-native', 'esbuild'],
    minifyWhitespace: true,
    minifySyntax: true,
    keepNames: true,
    logLevel: 'silent',
    legalComments: 'none',
  }).catch((cause: unknown) => {
    throw new CliError('failed', 'bundling the programs that run in pods', {
      cause,
      hint: 'This needs the sources: run it in a checkout, after npm ci.',
    });
  });
  const files: PayloadFile[] = result.outputFiles.map((file) => ({
    name: file.path.slice(1),
    content: file.contents,
    mode: 0o644,
  }));
  files.push({ name: 'guard', content: await readFile(join(ROOT, GUARD)), mode: 0o755 });
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file.name}\0${file.content.length}\0`).update(file.content);
  return { files, hash: hash.digest('hex').slice(0, 12) };
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
