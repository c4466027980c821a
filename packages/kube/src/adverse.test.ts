/** What servers, networks and kubelets do to a client in production. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { tokenFromFile } from './config.ts';
import { type AnyObject, Client, createCache, createQueue, KubeError, kinds, type Pod } from './index.ts';
import { ApiServer } from './testing/api-server.ts';
import { Forwarder } from './testing/forwarder.ts';
import { until } from './testing/until.ts';

const api = new ApiServer();
const folder = mkdtempSync(join(tmpdir(), 'pgherd-kube-'));
let client: Client;
let forwarder: Forwarder;
let forwarded: string;
/** By way of the forwarder. */
let far: Client;
let stop = new AbortController();

before(async () => {
  await api.start();
  client = new Client({ server: api.url });
  forwarder = new Forwarder(api.url);
  forwarded = await forwarder.start();
  api.put('pods', pod('one'));
});

beforeEach(() => {
  far = new Client({ server: forwarded });
});

afterEach(async () => {
  stop.abort();
  stop = new AbortController();
  far.close();
  forwarder.reset();
  await until('no watch is open', () => api.watching === 0);
  api.faults = [];
  api.token = undefined;
});

after(async () => {
  client.close();
  await forwarder.stop();
  await api.stop();
  rmSync(folder, { recursive: true });
});

const ref = { namespace: 'a', name: 'one' };

function pod(name: string): Pod & AnyObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name }, spec: { containers: [] } };
}

async function follow(by: Client, options: { silenceMs?: number } = {}) {
  const cache = createCache(by, kinds.Pod, { minBackoffMs: 5, maxBackoffMs: 20, ...options });
  cache.start(stop.signal);
  await cache.synced();
  await until('the watch is open', () => api.watching > 0);
  return cache;
}

const throttled = (match: string, after: string) => ({
  match,
  times: 1,
  status: 429,
  reason: 'TooManyRequests',
  headers: { 'retry-after': after },
});

/** The condition comes true, and not before `ms` have passed. */
async function notBefore(ms: number, what: string, work: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  await work();
  const took = performance.now() - began;
  assert.ok(took >= ms * 0.95, `${what} came after ${Math.round(took)} ms`);
}

test('who is throttled comes back when he was told to, and not before: reads, writes, lists, watches', async () => {
  api.faults = [throttled('GET', '0.3')];
  await notBefore(300, 'the read', () => client.get(kinds.Pod, ref));
  api.faults = [throttled('PUT', '0.3')];
  const current = await client.get(kinds.Pod, ref);
  await notBefore(300, 'the write', () => client.update(kinds.Pod, current));
  api.faults = [throttled('limit=', '0.3')];
  await notBefore(300, 'the list', () => client.list(kinds.Pod));
  api.faults = [throttled('watch=', '0.3')];
  await notBefore(300, 'the watch', () => follow(client));
});

test('a date serves as Retry-After too; one that is further away than the call may last is the answer', async () => {
  api.faults = [throttled('GET', new Date(Date.now() - 5_000).toUTCString())];
  await client.get(kinds.Pod, ref);
  api.faults = [throttled('GET', '30')];
  const began = performance.now();
  await assert.rejects(
    client.get(kinds.Pod, ref, { timeoutMs: 2_000 }),
    (error) =>
      error instanceof KubeError && error.code === 'TooManyRequests' && error.retryAfterMs === 30_000,
  );
  assert.ok(performance.now() - began < 1_000);
});

test('a reconciler that was throttled is run again when the server allows it', async () => {
  let runs = 0;
  const queue = createQueue({
    name: 'test',
    minBackoffMs: 1,
    reconcile: async () => {
      if (runs++ === 0) throw new KubeError('TooManyRequests', 'writing', { status: 429, retryAfterMs: 300 });
    },
  });
  queue.start(stop.signal);
  queue.add('a');
  await notBefore(300, 'the second run', () => until('it ran again', () => runs === 2));
});

test('a watch lives through 500, 502, 503, 504, throttling and resets, and misses nothing', async () => {
  const cache = await follow(far);
  for (const status of [500, 502, 503, 504, 429]) {
    await until('the watch is open', () => api.watching === 1);
    api.faults = [{ match: 'watch=', times: 2, status }];
    forwarder.reset();
    const name = `after-${status}`;
    api.put('pods', pod(name));
    await until(`${name} is there`, () => cache.get('a', name) !== undefined);
    assert.ok(api.faults[0]!.times < 2, String(status));
  }
});

test('410 is a new list, as an event, as a status of the watch, and in the middle of a list', async () => {
  const cache = await follow(client);
  const gone = (match: string) => ({ match, times: 1, status: 410, reason: 'Expired' });
  for (const [name, faults] of [
    ['status', [gone('watch=')]],
    ['list', [gone('watch='), gone('limit=')]],
  ] as const) {
    const { lists } = cache.stats;
    api.faults = [...faults];
    api.dropWatches();
    api.put('pods', pod(name));
    await until(`${name} is there`, () => cache.get('a', name) !== undefined);
    assert.ok(cache.stats.lists > lists, name);
    await until('the watch is open', () => api.watching === 1);
  }
  const { lists } = cache.stats;
  const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' };
  api.say(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
  await until('there was a new list', () => cache.stats.lists > lists);
});

test('an ERROR event that tells of load is waited out; one of the server itself means a new list', async () => {
  const cache = await follow(client);
  const say = (status: object) => api.say(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
  const { lists, watches } = cache.stats;
  say({ kind: 'Status', code: 429, reason: 'TooManyRequests', details: { retryAfterSeconds: 0.3 } });
  await notBefore(300, 'the watch', () => until('it is open again', () => cache.stats.watches > watches));
  assert.equal(cache.stats.lists, lists);
  await until('the watch is open', () => api.watching === 1);
  say({ kind: 'Status', code: 500, reason: 'InternalError', message: 'an event cannot be decoded' });
  await until('there was a new list', () => cache.stats.lists > lists);
});

test('half-open connections: a watch that died silently is opened anew on a fresh one', async () => {
  const cache = await follow(far, { silenceMs: 200 });
  // More of them lie in the pool, as dead as the watch.
  api.faults = [{ match: 'GET', times: 3, delayMs: 30 }];
  await Promise.all([1, 2, 3].map(() => far.get(kinds.Pod, ref)));
  forwarder.goQuiet();
  api.put('pods', pod('unseen'));
  await until('it is there', () => cache.get('a', 'unseen') !== undefined, 2_000);
});

test('half-open connections: after one time-out no other dead one is tried', async () => {
  // All at once, so that each needs a connection.
  api.faults = [{ match: 'GET', times: 4, delayMs: 30 }];
  await Promise.all([1, 2, 3, 4].map(() => far.get(kinds.Pod, ref)));
  await until('they are in the pool', () => forwarder.connections >= 4);
  forwarder.goQuiet();
  await assert.rejects(
    far.get(kinds.Pod, ref, { timeoutMs: 200 }),
    (error) => error instanceof KubeError && error.code === 'Timeout',
  );
  await far.get(kinds.Pod, ref, { timeoutMs: 1_000 });
});

test('an answer that breaks off, or does not end in time, is an error at its time', async () => {
  const cache = createCache(far, kinds.Pod, { minBackoffMs: 5 });
  api.faults = [{ match: 'limit=', times: 1, breakAfter: true }];
  cache.start(stop.signal);
  await cache.synced();
  assert.ok(cache.get('a', 'one'));
});

test('the token of a service account is replaced in its file while calls and watches go on', async () => {
  const path = join(folder, 'token');
  writeFileSync(path, 'first');
  api.token = 'first';
  const pods = new Client({ server: api.url, token: tokenFromFile(path) });
  const cache = await follow(pods);
  // As the kubelet does it: in one step.
  writeFileSync(`${path}.new`, 'second');
  renameSync(`${path}.new`, path);
  api.token = 'second';
  await pods.get(kinds.Pod, ref);
  await pods.update(kinds.Pod, await pods.get(kinds.Pod, ref));
  writeFileSync(path, 'third');
  api.token = 'third';
  // This time the watch is the first to see it.
  api.dropWatches();
  api.put('pods', pod('later'));
  await until('it is there', () => cache.get('a', 'later') !== undefined);
  pods.close();
});

test('a token that no server takes any more is told as such, and the watch begins again once there is one', async () => {
  const path = join(folder, 'dead');
  writeFileSync(path, 'dead');
  api.token = 'alive';
  const pods = new Client({ server: api.url, token: tokenFromFile(path) });
  await assert.rejects(
    pods.get(kinds.Pod, ref),
    (error) => error instanceof KubeError && error.code === 'Unauthorized',
  );
  const cache = createCache(pods, kinds.Pod, { minBackoffMs: 5, maxBackoffMs: 20 });
  cache.start(stop.signal);
  await until('it has been refused', () => cache.stats.lists >= 2);
  writeFileSync(path, 'alive');
  await cache.synced();
  pods.close();
});

test('proxies that the environment names are for others', async () => {
  const before = { ...process.env };
  Object.assign(process.env, { HTTP_PROXY: 'http://127.0.0.1:1', HTTPS_PROXY: 'http://127.0.0.1:1' });
  const direct = new Client({ server: api.url });
  await direct.get(kinds.Pod, ref);
  direct.close();
  process.env = before;
});
