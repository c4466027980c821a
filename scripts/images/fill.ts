/** For the Dockerfile of `pgherd`: node scripts/images/fill.ts BASE PROGRAMS DEBIAN fills the first two folders. */
import { mkdirSync } from 'node:fs';
import { fillPgherd } from './pgherd-root.ts';

const [base, programs, debian] = process.argv.slice(2);
if (!base || !programs || !debian) {
  process.stderr.write('Three folders are needed: two to fill, and the root of a Debian 12.\n');
  process.exit(2);
}
for (const folder of [base, programs]) mkdirSync(folder, { recursive: true });
await fillPgherd(base, programs, debian);
