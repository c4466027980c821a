/** The two images as a pod uses them: /pgherd of the one in a container of the other. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { opened } from './opened.ts';
import { inSandbox, outputOf, type Sandbox } from './sandbox.ts';

const pgherd = opened('pgherd');
const postgresql = opened('postgresql');

function pod(changes: Partial<Sandbox> = {}): Sandbox {
  return {
    root: postgresql.image.root,
    uid: 26,
    env: postgresql.image.config.config.Env,
    mounts: { '/pgherd': join(pgherd.image.root, 'pgherd') },
    ...changes,
  };
}

test('what Node starts has the libraries of its own image', () => {
  const script = `console.log(require('node:child_process').execFileSync('postgres', ['--version']).toString())`;
  assert.match(outputOf(pod(), ['/pgherd/bin/node', '-e', script]), /PostgreSQL\) 15\./);
});

test('the guard is process 1, starts the manager, and the manager says what it misses', () => {
  const result = inSandbox(pod({ asInit: true, timeoutMs: 4_000 }), ['/pgherd/guard']);
  assert.match(result.stdout + result.stderr, /POD_NAME is not set/);
  assert.match(result.stdout, /the manager has ended with code/);
});
