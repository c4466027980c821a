/** `npm run build`: the command as one file, `dist/kubectl-pgherd`. */
import { join, relative } from 'node:path';
import { buildCommand } from '../packages/cli/src/programs/command.ts';

const ROOT = join(import.meta.dirname, '..');
const path = join(ROOT, 'dist', 'kubectl-pgherd');
const { bytes } = await buildCommand(path);
console.log(`${relative(process.cwd(), path)} (${(bytes / 2 ** 20).toFixed(1)} MiB)`);
