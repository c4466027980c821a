/** What an instance names in the repository pod is there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effectiveBackup } from '@pgherd/api';
import { testFolder } from '@pgherd/postgres/testing';
import { aheadConfig, resolveRepository } from '../backup/repositories.ts';
import { backrestFiles, instanceFiles } from '../backup/setup.ts';
import { testLayout } from '../testing.ts';
import { repositoryFiles } from './files.ts';

test('WAL that goes ahead to a volume uses a lock of its own in the repository pod', () => {
  const folder = testFolder();
  const layout = testLayout(folder, 'demo-1');
  const tls = { ca: '/ca', cert: '/cert', key: '/key' };
  const cluster = { name: 'demo', namespace: 'default' };
  const backup = effectiveBackup(cluster, { repositories: [{ name: 'local', volume: { size: '1Gi' } }] });
  const [repository] = backup.repositories;
  const context = { cluster: 'demo', namespace: 'default', tls, files: '/f', secret: () => undefined };
  const repositories = [resolveRepository(repository!, 2, context)];
  const setup = { cluster: 'demo', stanza: 's', layout, folder: '/r', port: 5432, backup, repositories };
  const here = instanceFiles(setup);
  const config = (path: string) => /^repo2-host-config=(.*)$/m.exec(here.get(path) ?? '')?.[1];
  const [all, alone] = [config(backrestFiles('/r').all), config(backrestFiles('/r').alone(2))];
  assert.equal(alone, aheadConfig(2));

  const there = repositoryFiles(
    {
      cluster: 'demo',
      namespace: 'default',
      compression: backup.compression,
      parallelism: backup.parallelism,
      repositories: [{ name: 'local', retention: {}, number: 2, encrypted: false }],
    },
    { clientCa: 'a', serverCert: 'b', serverKey: 'c' },
  );
  const lock = (path: string | undefined) => /^lock-path=(.*)$/m.exec(there.get(path ?? '') ?? '')?.[1];
  assert.ok(lock(all) && lock(alone));
  assert.notEqual(lock(all), lock(alone));
});
