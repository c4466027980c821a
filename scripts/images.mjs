// npm run images: builds the container images as archives. See scripts/images/main.ts for what it can be told.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureDebianPackages, ensureNpmPackages, failWith, modernNode, ROOT } from './lib/setup.mjs';

const FOR_BUILDING = [
  { name: 'mmdebstrap', proof: '/usr/bin/mmdebstrap' },
  { name: 'patchelf', proof: '/usr/bin/patchelf' },
  { name: 'binutils', proof: '/usr/bin/strip' },
];
const FOR_CHECKING = [
  { name: 'bubblewrap', proof: '/usr/bin/bwrap' },
  { name: 'skopeo', proof: '/usr/bin/skopeo' },
];

const args = process.argv.slice(2);
try {
  ensureNpmPackages();
  ensureDebianPackages(args.includes('--check') ? [...FOR_BUILDING, ...FOR_CHECKING] : FOR_BUILDING);
  const result = spawnSync(modernNode(), [join(ROOT, 'scripts', 'images', 'main.ts'), ...args], {
    stdio: 'inherit',
    cwd: ROOT,
  });
  process.exit(result.status ?? 1);
} catch (error) {
  failWith(error);
}
