import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { certainDeath } from './death.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgherd-death-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('who works in the folder is dead afterwards', async () => {
  const child = spawn('sleep', ['60'], { cwd: folder, stdio: 'ignore' });
  const exit = once(child, 'exit');
  await once(child, 'spawn');
  await certainDeath(folder, 10_000);
  assert.deepEqual(await exit, [null, 'SIGKILL']);
});

test('where nobody is left, nobody is said to have survived, however late it is seen', () =>
  certainDeath(folder, -1));
