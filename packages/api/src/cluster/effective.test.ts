import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cluster } from '../testing.ts';
import { effective } from './effective.ts';

test('the least spec gets every default', () => {
  const eff = effective(cluster());
  assert.equal(eff.instances, 3);
  assert.equal(eff.imageName, 'ghcr.io/pgherd/postgresql:15');
  assert.deepEqual(eff.storage, { size: '10Gi', bytes: 10 * 1024 ** 3, storageClass: undefined });
  assert.equal(eff.walStorage, undefined);
  assert.deepEqual(eff.primaryLease, { renewMs: 2000, stopMs: 6000, guardMs: 8000, takeMs: 10000 });
  assert.equal(eff.primaryStartTimeoutMs, 60_000);
  assert.equal(eff.failoverDelayMs, 0);
  assert.equal(eff.maximumLag, undefined);
  assert.equal(eff.postgresql.synchronous, undefined);
  assert.equal(eff.enablePDB, true);
  assert.equal(eff.enableSuperuserAccess, false);
  assert.equal(eff.superuserSecret, 'demo-superuser');
  const { database, owner, secret, ownSecret, dataChecksums } = eff.initdb;
  assert.deepEqual(
    [database, owner, secret, ownSecret, dataChecksums],
    ['app', 'app', 'demo-app', true, true],
  );
  const { enablePodAntiAffinity, podAntiAffinityType, topologyKey } = eff.affinity;
  assert.deepEqual(
    [enablePodAntiAffinity, podAntiAffinityType, topologyKey],
    [true, 'preferred', 'kubernetes.io/hostname'],
  );
});

test('what is given stands', () => {
  const eff = effective(
    cluster({
      instances: 1,
      maximumLag: '1Mi',
      primaryLease: { renewInterval: 0.5 },
      postgresql: {
        parameters: { TimeZone: 'UTC' },
        synchronous: { method: 'any', number: 1 },
      },
      bootstrap: { initdb: { database: 'shop', secret: { name: 'mine' }, dataChecksums: false } },
    }),
  );
  assert.equal(eff.maximumLag, 1048576n);
  assert.deepEqual(eff.primaryLease, { renewMs: 500, stopMs: 6000, guardMs: 8000, takeMs: 10000 });
  assert.deepEqual(eff.postgresql.parameters, { timezone: 'UTC' });
  assert.equal(eff.postgresql.synchronous?.dataDurability, 'required');
  const { owner, secret, ownSecret, dataChecksums } = eff.initdb;
  assert.deepEqual([owner, secret, ownSecret, dataChecksums], ['shop', 'mine', false, false]);
});

test('reading a spec changes nothing in it', () => {
  const object = cluster({ postgresql: { parameters: { DateStyle: 'iso' } } });
  const before = structuredClone(object);
  effective(object);
  assert.deepEqual(object, before);
});
