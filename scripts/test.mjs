// npm test: everything. `npm test -- unit` or `npm test -- e2e` runs one part.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import {
  ensureDebianPackages,
  ensureNpmPackages,
  failWith,
  modernNode,
  ROOT,
  TEST_PACKAGES,
} from './lib/setup.mjs';

try {
  ensureNpmPackages();
  ensureDebianPackages(TEST_PACKAGES);
  const result = spawnSync(modernNode(), [join(ROOT, 'scripts', 'test.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
    cwd: ROOT,
  });
  process.exit(result.status ?? 1);
} catch (error) {
  failWith(error);
}
