// npm test: everything. `npm test -- unit` or `npm test -- e2e` runs one part.
import { join } from 'node:path';
import { runWithinReach } from './lib/reach.mjs';
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
  const tests = [modernNode(), join(ROOT, 'scripts', 'test.ts'), ...process.argv.slice(2)];
  process.exit(runWithinReach(tests));
} catch (error) {
  failWith(error);
}
