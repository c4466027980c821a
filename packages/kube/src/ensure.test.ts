import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, ensure, ensureObject, kinds, type Secret, type Service } from './index.ts';
import { differs, merge } from './merge.ts';
import { quantity, sameQuantity } from './quantity.ts';
import { ApiServer } from './testing/api-server.ts';

const api = new ApiServer();
let client: Client;

before(async () => {
  await api.start();
  client = new Client({ server: api.url });
});

after(async () => {
  client.close();
  await api.stop();
});

test('differs: only what is desired counts', () => {
  const cases: [string, unknown, unknown, boolean, string[]?][] = [
    ['defaults added', { spec: { a: 1 } }, { spec: { a: 1, b: 2 } }, false],
    ['a value', { spec: { a: 1 } }, { spec: { a: 2 } }, true],
    ['missing', { spec: { a: 1 } }, {}, true],
    ['undefined wants nothing', { a: undefined }, {}, false],
    ['null wants it away', { a: null }, { a: 1 }, true],
    ['null and away', { a: null }, {}, false],
    ['list of objects with defaults', { p: [{ port: 1 }] }, { p: [{ port: 1, protocol: 'TCP' }] }, false],
    ['list length', { p: [{ port: 1 }] }, { p: [{ port: 1 }, { port: 2 }] }, true],
    ['list order', { p: ['a', 'b'] }, { p: ['b', 'a'] }, true],
    ['empty list dropped', { p: [] }, {}, false],
    ['empty map dropped', { labels: {} }, {}, false],
    ['exact map', { data: { a: '1' } }, { data: { a: '1', b: '2' } }, true, ['data']],
    ['exact map, same', { data: { a: '1' } }, { data: { a: '1' } }, false, ['data']],
    ['quantities', { requests: { cpu: '1000m' } }, { requests: { cpu: '1' } }, false],
    [
      'quantities of storage',
      { spec: { resources: { requests: { storage: '1Gi' } } } },
      { spec: { resources: { requests: { storage: '1073741824' } } } },
      false,
    ],
    ['not quantities', { data: { a: '1000m' } }, { data: { a: '1' } }, true],
  ];
  for (const [name, desired, current, expected, exact] of cases) {
    assert.equal(differs({ x: undefined, ...(desired as object) }, current, exact), expected, name);
  }
});

test('merge: what others added stays, except where exact', () => {
  const current = {
    labels: { a: '1', b: '2' },
    data: { old: 'x' },
    ports: [{ name: 'p', port: 1, nodePort: 3 }],
  };
  const desired = { labels: { a: '9', b: null }, data: { new: 'y' }, ports: [{ name: 'p', port: 2 }] };
  assert.deepEqual(merge(current, desired, ['data']), {
    labels: { a: '9' },
    data: { new: 'y' },
    ports: [{ name: 'p', port: 2, nodePort: 3 }],
  });
  assert.equal(current.labels.a, '1');
});

test('quantities', () => {
  assert.equal(quantity('1Gi'), 2 ** 30);
  assert.equal(quantity('500m'), 0.5);
  assert.equal(quantity('1e3'), 1000);
  assert.equal(quantity('2E'), 2e18);
  assert.ok(Number.isNaN(quantity('1 GB')));
  assert.ok(sameQuantity('0.1', '100m'));
  assert.ok(!sameQuantity('x', 'x'));
});

const service = (port: number): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'a', name: 's' },
  spec: { ports: [{ port }] },
});

test('creates, then writes only when something differs, and keeps the work of others', async () => {
  assert.equal(await ensure(client, kinds.Service, service(1)), 'created');
  const stored = api.find('services', 'a', 's')!;
  api.put('services', { ...stored, spec: { ...(stored.spec as object), selector: { theirs: 'yes' } } });
  const writes = () => api.count('PUT') + api.count('POST');
  const before = writes();
  assert.equal(await ensure(client, kinds.Service, service(1)), 'unchanged');
  assert.equal(writes(), before);
  assert.equal(await ensure(client, kinds.Service, service(2)), 'updated');
  assert.deepEqual(api.find('services', 'a', 's')?.spec, {
    ports: [{ port: 2 }],
    selector: { theirs: 'yes' },
  });
});

test('an old copy from a cache costs one more attempt, not a lost change', async () => {
  const old = await client.get(kinds.Service, { namespace: 'a', name: 's' });
  api.put('services', { ...api.find('services', 'a', 's')!, status: { theirs: true } });
  const { outcome, object } = await ensureObject(client, kinds.Service, service(3), old);
  assert.equal(outcome, 'updated');
  assert.deepEqual((object as unknown as { status: unknown }).status, { theirs: true });
  api.remove('services', 'a', 's');
  assert.equal(await ensure(client, kinds.Service, service(4), object), 'created');
});

test('stringData compares as the API stores it', async () => {
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'a', name: 'x' },
    stringData: { k: 'v' },
  };
  assert.equal(await ensure(client, kinds.Secret, secret), 'created');
  assert.equal(await ensure(client, kinds.Secret, secret), 'unchanged');
  assert.equal(await ensure(client, kinds.Secret, { ...secret, stringData: { l: 'v' } }), 'updated');
  assert.deepEqual(api.find('secrets', 'a', 'x')?.data, { l: 'dg==' });
});
