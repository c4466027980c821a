import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { PostgresError } from '../errors.ts';
import { renderBackrest, repositoryOptions } from '../pgbackrest/options.ts';
import { testFolder } from '../testing.ts';
import { readCatalogue, restoreBackup } from './repository.ts';

/** A port of this machine on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The configuration of a store at which nobody listens. */
async function goneStore(): Promise<{ folder: string; config: string }> {
  const folder = testFolder();
  const config = join(folder, 'pgbackrest.conf');
  const place = {
    kind: 's3',
    bucket: 'b',
    endpoint: '127.0.0.1',
    port: await closedPort(),
    region: 'r',
    uriStyle: 'path',
    path: '/p',
    keys: { id: 'k', secret: 's' },
  } as const;
  writeFileSync(
    config,
    renderBackrest({
      global: {
        ...repositoryOptions({ number: 1, place }),
        'lock-path': folder,
        'spool-path': folder,
      },
    }),
  );
  return { folder, config };
}

test('a store that is gone is not one without backups, and is named in time', async () => {
  const { config } = await goneStore();
  await assert.rejects(
    readCatalogue(
      { config, repository: 1 },
      { cluster: 'c' },
      { storeTimeoutS: 0.3, signal: AbortSignal.timeout(20_000) },
    ),
    (error) =>
      error instanceof PostgresError &&
      error.code === 'BackrestFailed' &&
      /unable to connect/.test(error.message),
  );
});

test('copying a backup out of a store that is gone ends, and says that it is not reached', async () => {
  const { folder, config } = await goneStore();
  const files = {
    stanza: 's',
    backup: '20260101-000000F',
    pgdata: join(folder, 'data'),
    delta: false,
    processes: 1,
  };
  await assert.rejects(
    restoreBackup(
      { config, repository: 1 },
      { ...files, storeTimeoutS: 0.3 },
      { signal: AbortSignal.timeout(20_000) },
    ),
    (error) =>
      error instanceof PostgresError &&
      // No number: another try may reach it.
      error.backrestError === undefined &&
      /the repository is not reached: unable to connect to '127\.0\.0\.1:\d+'/.test(error.message),
  );
});
