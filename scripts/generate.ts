/** Writes the files that are made from schemas and commands: `npm run generate`, or with --check says which are stale. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generatedFiles as fromSchemas } from '../packages/api/src/generated-files.ts';
import { generatedFiles as fromCommands } from '../packages/cli/src/reference.ts';
import { generatedFiles as forChart } from './chart/generated-files.ts';

const ROOT = join(import.meta.dirname, '..');
const checkOnly = process.argv.includes('--check');

function current(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // A file that is not there yet is stale like any other.
    return undefined;
  }
}

const stale = [...fromSchemas(), ...fromCommands(), ...forChart()].filter(
  ({ path, content }) => current(join(ROOT, path)) !== content,
);
for (const { path, content } of stale) {
  if (checkOnly) {
    console.error(`${path} is stale: run npm run generate`);
    continue;
  }
  mkdirSync(dirname(join(ROOT, path)), { recursive: true });
  writeFileSync(join(ROOT, path), content);
  console.log(`wrote ${path}`);
}
if (checkOnly && stale.length > 0) process.exitCode = 1;
