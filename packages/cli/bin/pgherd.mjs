#!/usr/bin/env node
// `npx pgherd` in a checkout: runs the sources with the Node 24 that npm brought, whatever Node started this.
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(fileURLToPath(import.meta.url), '..', '..', '..', '..');
const main = join(root, 'packages', 'cli', 'src', 'main.ts');
if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(main);
} else {
  const { failWith, modernNode } = await import(join(root, 'scripts', 'lib', 'setup.mjs'));
  try {
    // Ctrl-C reaches the child as well; its exit is then ours.
    process.on('SIGINT', () => {});
    const result = spawnSync(modernNode(), [main, ...process.argv.slice(2)], { stdio: 'inherit' });
    if (result.error) throw result.error;
    process.exit(result.status ?? 128 + (constants.signals[result.signal ?? 'SIGTERM'] ?? 15));
  } catch (error) {
    failWith(error);
  }
}
