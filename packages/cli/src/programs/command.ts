/** Makes the command itself as one file, with all that it needs inside. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { build, type Plugin } from 'esbuild';
import { bundleFromSources, COMMON, root } from './bundle.ts';

/**
 * Writes the bundled command, which runs on Node 18 and later; local mode in it wants Node 24. Without an ending
 * `.mjs` such a Node takes a file for CommonJS, and a plugin of kubectl can have no ending: so that is what it is.
 */
export async function buildCommand(path: string): Promise<{ bytes: number }> {
  const result = await build({
    ...COMMON,
    absWorkingDir: root(),
    entryPoints: [join(root(), 'packages/cli/src/main.ts')],
    format: 'cjs',
    target: 'node18',
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': '""' },
    plugins: [embed(await bundleFromSources())],
  });
  const content = result.outputFiles![0]!.contents;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  // In a checkout Node would go by the package.json above, which says otherwise.
  await writeFile(join(dirname(path), 'package.json'), '{"type":"commonjs"}\n');
  await chmod(path, 0o755);
  return { bytes: content.length };
}

function embed(files: Map<string, Uint8Array>): Plugin {
  const packed = [...files].map(([name, content]) => [name, pack(content)]);
  const contents = `export const embedded = ${JSON.stringify(Object.fromEntries(packed))};`;
  return {
    name: 'embed',
    setup({ onLoad }) {
      onLoad({ filter: /\/programs\/embedded\.ts$/ }, () => ({ contents, loader: 'ts' }));
      // What needs the sources is never called, and brings the bundler along.
      onLoad({ filter: /\/programs\/bundle\.ts$/ }, () => ({ contents: 'export {};', loader: 'ts' }));
    },
  };
}

function pack(content: Uint8Array): string {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  return brotliCompressSync(content, { params }).toString('base64');
}
