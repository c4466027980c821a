// npm start: from a clean clone to a failover seen with one's own eyes.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureDebianPackages, ensureNpmPackages, failWith, modernNode, ROOT } from './lib/setup.mjs';

try {
  ensureNpmPackages();
  ensureDebianPackages();
  const entry = join(ROOT, 'packages', 'cli', 'src', 'main.ts');
  const result = spawnSync(modernNode(), [entry, 'local', 'demo', ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  process.exit(result.status ?? 1);
} catch (error) {
  failWith(error);
}
