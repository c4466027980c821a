import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { certainDeath, folderIdentity, processesIn } from './death.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgherd-death-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('who works in the folder is dead afterwards', async () => {
  const child = spawn('sleep', ['60'], { cwd: folder, stdio: 'ignore' });
  const exit = once(child, 'exit');
  await once(child, 'spawn');
  await certainDeath(folder, 10_000);
  assert.deepEqual(await exit, [null, 'SIGKILL']);
});

test('a folder that was moved away takes its processes along', async () => {
  const home = join(folder, 'home');
  mkdirSync(home);
  const child = spawn('sleep', ['60'], { cwd: home, stdio: 'ignore' });
  const exit = once(child, 'exit');
  await once(child, 'spawn');
  const also = new Set([folderIdentity(home)!]);
  renameSync(home, join(folder, 'moved'));
  mkdirSync(home);
  assert.deepEqual(processesIn(home), []);
  assert.deepEqual(processesIn(home, also), [child.pid]);
  await certainDeath(home, 10_000, also);
  assert.deepEqual(await exit, [null, 'SIGKILL']);
});

test('where nobody is left, nobody is said to have survived, however late it is seen', () =>
  certainDeath(folder, -1));
