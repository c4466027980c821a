/** Bundles our programs from the sources of this checkout, each into one file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROGRAMS as LOCAL_PROGRAMS } from '@pgherd/local/programs';
import type { BuildOptions } from 'esbuild';
import { CliError } from '../errors.ts';

/** Called only where there are sources: the bundled command has no folder of its own. */
export const root = (): string => join(import.meta.dirname, '..', '..', '..', '..');

/** Programs that run in pods: they lie in `/pgherd`. */
const POD_PROGRAMS = {
  'manager.mjs': 'packages/instance/src/main.ts',
  'operator.mjs': 'packages/operator/src/main.ts',
  'pgherd.mjs': 'packages/cli/src/main.ts',
  'repository.mjs': 'packages/instance/src/repository/main.ts',
  'verify.mjs': 'packages/instance/src/verify/main.ts',
} as const;

const ON_THIS_MACHINE = {
  ...Object.fromEntries(
    LOCAL_PROGRAMS.map((name) => [`local/${name}.mjs`, `packages/local/src/${name}/main.ts`]),
  ),
  'writer.mjs': 'packages/cli/src/writer/main.ts',
};

/** Files that go along as they are. */
const AS_THEY_ARE = {
  guard: 'packages/instance/src/guard.sh',
  'pgbackrest-archive': 'packages/instance/src/backup/archive.sh',
  'pgbackrest-fetch': 'packages/instance/src/backup/fetch.sh',
  'cluster.yaml': 'examples/cluster.yaml',
};

/** What esbuild is told for every program of ours. */
export const COMMON: BuildOptions = {
  bundle: true,
  write: false,
  platform: 'node',
  external: ['pg-native', 'esbuild'],
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: true,
  logLevel: 'silent',
  legalComments: 'none',
};

/** All of them by name. Takes about two seconds; throws CliError where the sources are not there. */
export async function bundleFromSources(): Promise<Map<string, Uint8Array>> {
  const { build } = await import('esbuild');
  const entries = Object.entries({ ...POD_PROGRAMS, ...ON_THIS_MACHINE });
  const result = await build({
    ...COMMON,
    absWorkingDir: root(),
    entryPoints: entries.map(([name, entry]) => ({
      in: join(root(), entry),
      out: name.replace(/\.mjs$/, ''),
    })),
    outdir: '/',
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    target: 'node24',
    // Some dependencies are CommonJS and call require() for Node's own modules.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  }).catch((cause: Error) => {
    throw new CliError('failed', `Bundling the programs that run in pods: ${cause.message}`, {
      cause,
      hint: 'This needs the sources: run it in a checkout, after npm ci.',
    });
  });
  const files = new Map<string, Uint8Array>();
  for (const { path, contents } of result.outputFiles!) files.set(path.slice(1), contents);
  for (const [name, path] of Object.entries(AS_THEY_ARE)) files.set(name, await readFile(join(root(), path)));
  return files;
}
