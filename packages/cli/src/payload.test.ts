import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildPayload, bundlePayload } from './payload.ts';

test('the payload is complete, runs by itself, and is named after its content', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'pgherd-payload-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const { files, hash } = await buildPayload(dir, { node: { linkTo: '/opt/node' } });
  assert.deepEqual(
    files.map((file) => file.name),
    [
      'guard',
      'manager.mjs',
      'operator.mjs',
      'pgbackrest-archive',
      'pgbackrest-fetch',
      'pgherd.mjs',
      'repository.mjs',
      'verify.mjs',
    ],
  );
  assert.equal(statSync(join(dir, 'guard')).mode & 0o111, 0o111);
  assert.equal(readlinkSync(join(dir, 'bin', 'node')), '/opt/node');
  const said = execFileSync(
    process.execPath,
    [join(dir, 'pgherd.mjs'), 'create', 'cluster', 'x', '--dry-run'],
    {
      encoding: 'utf8',
      cwd: dir,
    },
  );
  assert.match(said, /kind: Cluster/);
  assert.equal((await bundlePayload()).hash, hash);
});
