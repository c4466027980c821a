import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, validateCluster } from '@pgherd/api';
import { CliError } from './errors.ts';
import { manifestOf } from './manifest.ts';

test('what has a default is left out', () => {
  assert.deepEqual(manifestOf('demo', 'default', { storage: '1Gi' }), {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name: 'demo', namespace: 'default' },
    spec: { storage: { size: '1Gi' } },
  });
});

test('every flag finds its field, and the result is valid', () => {
  const manifest = manifestOf('demo', 'ns', {
    instances: 5,
    image: 'ghcr.io/pgherd/postgresql:15',
    storage: '2Gi',
    walStorage: '1Gi',
    storageClass: 'fast',
    parameter: ['work_mem=16MB', 'log_line_prefix=a=b'],
    sync: 'first:2,preferred',
    database: 'shop',
    owner: 'keeper',
  });
  assert.deepEqual(validateCluster(manifest as unknown as Cluster), []);
  const { spec } = manifest as unknown as Cluster;
  assert.deepEqual(spec.postgresql?.parameters, { work_mem: '16MB', log_line_prefix: 'a=b' });
  assert.deepEqual(spec.postgresql?.synchronous, { method: 'first', number: 2, dataDurability: 'preferred' });
  assert.deepEqual(spec.walStorage, { size: '1Gi', storageClass: 'fast' });
  assert.deepEqual(spec.bootstrap?.initdb, { database: 'shop', owner: 'keeper' });
});

for (const sync of ['x', 'any:', 'last:1', '1,maybe']) {
  test(`--sync ${sync} is refused`, () => {
    assert.throws(() => manifestOf('demo', 'ns', { storage: '1Gi', sync }), CliError);
  });
}

test('--parameter without = is refused', () => {
  assert.throws(
    () => manifestOf('demo', 'ns', { storage: '1Gi', parameter: ['work_mem'] }),
    /a name, = and a value/,
  );
});

test('a flag counts before the custom configuration', () => {
  const custom = {
    parameters: { work_mem: '1MB', jit: 'off' },
    hba: ['hostssl all all all md5'],
    setupSql: { name: 'c', key: 'setup.sql' },
  };
  const manifest = manifestOf('demo', 'ns', { storage: '1Gi', parameter: ['work_mem=2MB'] }, custom);
  assert.deepEqual(validateCluster(manifest as unknown as Cluster), []);
  const { spec } = manifest as unknown as Cluster;
  assert.deepEqual(spec.postgresql, {
    parameters: { work_mem: '2MB', jit: 'off' },
    pg_hba: ['hostssl all all all md5'],
  });
  assert.deepEqual(spec.bootstrap?.initdb?.postInitSQLRefs, {
    configMapRefs: [{ name: 'c', key: 'setup.sql' }],
  });
});
