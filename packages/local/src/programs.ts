import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The processes of local mode. Each is a `main.ts` here; bundled, a file `NAME.mjs` beside the others. */
export const PROGRAMS = ['supervisor', 'api', 'controllers', 'agent', 'shim', 'net'] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/**
 * The file of a program: in `folder` where that is given, else beside the one that asks. So what was started from
 * bundles goes on with bundles, whatever becomes of the sources.
 */
export function programFile(name: ProgramName, folder?: string): string {
  if (folder) return join(folder, `${name}.mjs`);
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts') ? join(dirname(here), name, 'main.ts') : join(dirname(here), `${name}.mjs`);
}
