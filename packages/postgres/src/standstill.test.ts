import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TestServers } from './testing-servers.ts';

const servers = new TestServers();
after(servers.end);

test('a recovery that lacks WAL is given up; one that gets on is not', async () => {
  const primary = await servers.make('primary');
  await primary.initdb({ dataChecksums: true });
  await servers.startPrimary(primary);
  const copy = await servers.make('copy');
  await copy.baseBackup({ source: servers.upstream(primary, 'copy'), sourceName: 'primary' });
  await copy.writeSettings(servers.settings(copy));
  await copy.writeRole({ standby: true, primaryConninfo: '', synchronousStandbyNames: '' });
  // Without what it needs to become consistent.
  const [row] = await (await servers.session(primary)).query<{ file: string }>(
    'select pg_walfile_name(pg_current_wal_lsn()) as file',
  );
  const before = `${row!.file.slice(0, -1)}${Number(row!.file.slice(-1)) - 1}`;
  for (const file of [before, row!.file]) rmSync(join(copy.pgdata, 'pg_wal', file), { force: true });
  const began = performance.now();
  await assert.rejects(copy.start({ stillMs: 1_000 }), { code: 'StartTimeout' });
  assert.ok(performance.now() - began >= 1_000);
  await copy.die();
  // It says itself that there is no more.
  if (copy.major >= 15) {
    await assert.rejects(copy.start({ stillMs: 60_000 }), /has waited for WAL for 5 s/);
    await copy.die();
  }
  await copy.writeRole({
    standby: true,
    primaryConninfo: servers.upstream(primary, 'copy'),
    synchronousStandbyNames: '',
  });
  assert.equal(await copy.start({ stillMs: 30_000 }), true);
});
