import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type Cache, type CacheOptions, Client, createCache, kinds, type Pod } from './index.ts';
import { ApiServer } from './testing/api-server.ts';
import { until } from './testing/until.ts';

const api = new ApiServer();
let client: Client;
let stop = new AbortController();

before(async () => {
  await api.start();
  client = new Client({ server: api.url });
});

afterEach(() => {
  stop.abort();
  stop = new AbortController();
  api.faults = [];
  for (const { metadata } of api.all('pods')) api.remove('pods', metadata.namespace!, metadata.name);
});

after(async () => {
  client.close();
  await api.stop();
});

function pod(name: string, node = 'n1', labels = {}): Pod & Record<string, unknown> {
  const metadata = { namespace: 'a', name, labels };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [], nodeName: node } };
}

async function open(options: CacheOptions<Pod> = {}): Promise<{ cache: Cache<Pod>; told: string[] }> {
  const cache = createCache(client, kinds.Pod, { minBackoffMs: 5, ...options });
  const told: string[] = [];
  cache.onChange((object, old) => {
    const verb = object ? (old ? 'changed' : 'added') : 'gone';
    told.push(`${verb} ${(object ?? old)!.metadata.name}`);
  });
  cache.start(stop.signal);
  await cache.synced();
  await until('the watch is open', () => api.watching === 1);
  return { cache, told };
}

test('holds what is there and what comes, by name, label and index', async () => {
  api.put('pods', pod('one', 'n1', { app: 'x' }));
  const { cache, told } = await open({ indexes: { node: (object) => [object.spec.nodeName ?? ''] } });
  assert.equal(cache.get('a', 'one')?.kind, 'Pod');
  api.put('pods', pod('two', 'n1'));
  await until('two is there', () => cache.get('a', 'two') !== undefined);
  assert.deepEqual(
    cache.byIndex('node', 'n1').map(({ metadata }) => metadata.name),
    ['one', 'two'],
  );
  api.put('pods', pod('two', 'n2'));
  await until('two moved', () => cache.byIndex('node', 'n2').length === 1);
  assert.equal(cache.byIndex('node', 'n1').length, 1);
  assert.equal(cache.list({ labels: { app: 'x' } }).length, 1);
  assert.equal(cache.list({ namespace: 'b' }).length, 0);
  api.remove('pods', 'a', 'one');
  await until('one is gone', () => cache.get('a', 'one') === undefined);
  assert.deepEqual(told, ['added one', 'added two', 'changed two', 'gone one']);
});

test('continues where a dropped watch was, without a list and without telling twice', async () => {
  api.put('pods', pod('one'));
  const { cache, told } = await open();
  for (let n = 0; n < 3; n++) {
    api.dropWatches();
    api.put('pods', pod(`during-${n}`));
    await until('the change arrives', () => cache.get('a', `during-${n}`) !== undefined);
    await until('the watch is open', () => api.watching === 1);
  }
  assert.equal(cache.stats.lists, 1);
  assert.deepEqual(told, ['added one', 'added during-0', 'added during-1', 'added during-2']);
});

test('lists again after a 410 and tells only differences', async () => {
  api.put('pods', pod('stays'));
  api.put('pods', pod('goes'));
  api.put('pods', pod('reborn'));
  const { cache, told } = await open();
  await api.stop();
  api.remove('pods', 'a', 'goes');
  api.put('pods', pod('comes'));
  api.remove('pods', 'a', 'reborn');
  api.put('pods', pod('reborn'));
  api.compact();
  await api.start();
  await until('comes is there', () => cache.get('a', 'comes') !== undefined);
  assert.equal(cache.stats.lists, 2);
  assert.deepEqual(told.slice(3).sort(), ['added comes', 'added reborn', 'gone goes', 'gone reborn']);
});

test('a bookmark saves the list', async () => {
  api.put('pods', pod('one'));
  const { cache } = await open();
  api.put('services', { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'a', name: 's' } });
  api.bookmark();
  await until('the bookmark is there', () => cache.stats.events === 1);
  api.compact();
  api.dropWatches();
  await until('the watch is open', () => api.watching === 1);
  api.put('pods', pod('two'));
  await until('two is there', () => cache.get('a', 'two') !== undefined);
  assert.equal(cache.stats.lists, 1);
});

test('survives refusals, throttling, a slow list and rubbish', async () => {
  api.put('pods', pod('one'));
  api.faults = [
    { match: 'limit=', times: 2, status: 500 },
    { match: 'limit=', times: 1, status: 403, reason: 'Forbidden' },
    { match: 'limit=', times: 1, status: 429, headers: { 'retry-after': '0' } },
    { match: 'watch=', times: 2, status: 500 },
    { match: 'limit=', times: 1, delayMs: 50 },
  ];
  const { cache } = await open();
  api.say('this is not JSON\n');
  api.put('pods', pod('two'));
  await until('two is there', () => cache.get('a', 'two') !== undefined);
});

test('a server that ends every watch is not asked in a circle', async () => {
  const { cache } = await open();
  const before = cache.stats.watches;
  const end = performance.now() + 400;
  await until('time has passed', () => {
    api.endWatches();
    return performance.now() > end;
  });
  assert.ok(cache.stats.watches - before < 12, `${cache.stats.watches - before} watches in 400 ms`);
});

test('a watch that is silent too long is opened again', async () => {
  const { cache } = await open({ silenceMs: 50 });
  await until('it was opened again', () => cache.stats.watches >= 2);
});

test('own writes are seen at once, old news never', async () => {
  const { cache, told } = await open();
  const made = await client.create(kinds.Pod, pod('mine'));
  cache.absorb(made);
  assert.ok(cache.get('a', 'mine'));
  api.remove('pods', 'a', 'mine');
  await until('it is gone', () => cache.get('a', 'mine') === undefined);
  cache.absorb(made);
  assert.equal(cache.get('a', 'mine'), undefined);
  assert.deepEqual(told, ['added mine', 'gone mine']);
});

test('a callback that throws does not stop the others; a late one hears of all', async () => {
  const { cache } = await open();
  cache.onChange(() => {
    throw new Error('mine');
  });
  api.put('pods', pod('one'));
  await until('one is there', () => cache.get('a', 'one') !== undefined);
  const late: string[] = [];
  cache.onChange((object) => late.push(object!.metadata.name));
  assert.deepEqual(late, ['one']);
});

test('the wait for the first list ends with the cache', async () => {
  await api.stop();
  const cache = createCache(client, kinds.Pod);
  cache.start(stop.signal);
  const synced = cache.synced();
  stop.abort(new Error('over'));
  await assert.rejects(synced, /over/);
  await api.start();
});
