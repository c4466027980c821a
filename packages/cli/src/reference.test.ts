import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { generatedFiles } from './reference.ts';

for (const { path, content } of generatedFiles()) {
  test(`${path} is what the commands say`, () => {
    const found = readFileSync(join(import.meta.dirname, '..', '..', '..', path), 'utf8');
    assert.equal(found, content, 'run npm run generate');
  });
}
