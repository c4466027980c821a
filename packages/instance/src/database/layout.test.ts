import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podLayout } from './layout.ts';

const ROOT = '640 620 0:61 / / ro,relatime - overlay overlay ro,lowerdir=/layers/1';
const DATA = '652 640 254:0 /volumes/a /var/lib/postgresql/data rw,relatime - ext4 /dev/vda rw';
const WAL = '653 640 254:0 /volumes/b /var/lib/postgresql/wal rw,relatime - ext4 /dev/vda rw';
const PGDATA = '/var/lib/postgresql/data/pgdata';

const walDirOf = (...mounts: string[]) => podLayout(PGDATA, undefined, `${mounts.join('\n')}\n`).walDir;

test('the WAL lies on a volume of its own only where one is mounted, whatever folders the image has', () => {
  assert.equal(walDirOf(ROOT, DATA), undefined);
  assert.equal(walDirOf(ROOT, DATA, WAL), '/var/lib/postgresql/wal/pg_wal');
  assert.equal(walDirOf(ROOT, DATA, WAL.replace('/wal ', '/wal/more ')), undefined);
});
