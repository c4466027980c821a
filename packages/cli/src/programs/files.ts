/** Our own programs as files, wherever this command comes from: a checkout, or the one file that is everything. */
import { brotliDecompressSync } from 'node:zlib';
import { embedded } from './embedded.ts';

export type ProgramFiles = Map<string, Uint8Array>;

let loaded: Promise<ProgramFiles> | undefined;

/**
 * The programs by name: `manager.mjs`, `operator.mjs`, `pgherd.mjs` and `guard` for pods, `local/NAME.mjs` for local
 * mode, `writer.mjs`, and `cluster.yaml`. Made once a process.
 */
export function programFiles(): Promise<ProgramFiles> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<ProgramFiles> {
  if (embedded === undefined) return (await import('./bundle.ts')).bundleFromSources();
  return new Map(Object.entries(embedded).map(([name, text]) => [name, unpack(text)]));
}

function unpack(text: string): Uint8Array {
  return brotliDecompressSync(Buffer.from(text, 'base64'));
}

/** One of them as text. */
export async function programText(name: string): Promise<string> {
  const content = (await programFiles()).get(name);
  if (content === undefined) throw new Error(`there is no program ${name}`);
  return Buffer.from(content).toString('utf8');
}
