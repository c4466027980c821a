// Runs a TypeScript entry with the repository's own Node 24, whatever Node started this.
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { ensureNpmPackages, modernNode } from './lib/setup.mjs';

ensureNpmPackages();
const result = spawnSync(modernNode(), process.argv.slice(2), { stdio: 'inherit' });
if (result.error) throw result.error;
process.exit(result.status ?? 128 + (constants.signals[result.signal ?? 'SIGTERM'] ?? 15));
