import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Client, type Lease, type Log, microTime, runElection } from './index.ts';
import { ApiServer } from './testing/api-server.ts';
import { until } from './testing/until.ts';
import { silent } from './types.ts';

const api = new ApiServer();
let client: Client;
const LEASES = 'leases.coordination.k8s.io';
let stops: AbortController[] = [];

before(async () => {
  await api.start();
  client = new Client({ server: api.url });
});

afterEach(() => {
  for (const stop of stops) stop.abort();
  stops = [];
  api.faults = [];
});

after(async () => {
  client.close();
  await api.stop();
});

function candidate(name: string, identity: string, log?: Log) {
  const stop = new AbortController();
  stops.push(stop);
  const state = { leading: false, terms: 0, done: Promise.resolve(), stop };
  const options = {
    client,
    namespace: 'a',
    name,
    identity,
    leaseMs: 600,
    retryMs: 50,
    ...(log ? { log } : {}),
  };
  state.done = runElection(
    options,
    async (signal) => {
      state.leading = true;
      state.terms++;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      state.leading = false;
    },
    stop.signal,
  );
  state.done.catch(() => {});
  return state;
}

const holder = (name: string) => (api.find(LEASES, 'a', name) as unknown as Lease)?.spec.holderIdentity;

test('one leads, the other takes over at once when it ends', async () => {
  const one = candidate('x', 'one');
  await until('one leads', () => one.leading);
  const two = candidate('x', 'two');
  await until('two has looked', () => api.count('GET') > 1);
  assert.ok(!two.leading);
  one.stop.abort();
  await one.done;
  assert.equal(holder('x'), '');
  await until('two leads', () => two.leading, 500);
  two.stop.abort();
  await two.done;
});

test('a leader that cannot renew stops before another may start', async () => {
  const one = candidate('y', 'one');
  await until('one leads', () => one.leading);
  api.faults = [{ match: 'PUT', times: 1_000, status: 500 }];
  await until('one stopped', () => !one.leading);
  api.faults = [];
  const lease = api.find(LEASES, 'a', 'y')!;
  assert.equal(holder('y'), 'one');
  assert.ok(lease);
  await until('one leads again', () => one.leading && one.terms === 2);
  one.stop.abort();
  await one.done;
});

test('why nobody can lead is told, and once as long as it is the same', async () => {
  const told: string[] = [];
  const log: Log = {
    ...silent,
    warn: (fields) => void told.push((fields as { error: string }).error),
  };
  api.faults = [{ match: 'GET', times: 3, status: 403 }];
  const one = candidate('w', 'one', log);
  await until('one leads', () => one.leading);
  assert.equal(told.length, 1, told.join('\n'));
  assert.match(told[0] ?? '', /Lease/);
  one.stop.abort();
  await one.done;
});

test('a leader whose Lease was taken stops', async () => {
  const one = candidate('z', 'one');
  await until('one leads', () => one.leading);
  const lease = api.find(LEASES, 'a', 'z')!;
  api.put(LEASES, {
    ...lease,
    spec: { holderIdentity: 'thief', renewTime: microTime(new Date()), leaseTransitions: 1 },
  });
  await until('one stopped', () => !one.leading);
  await until('one leads again once the thief is silent', () => one.leading);
  one.stop.abort();
  await one.done;
});

test('survives a restart of the API without losing its place', async () => {
  const one = candidate('w', 'one');
  await until('one leads', () => one.leading);
  await api.stop();
  const before = client.requests;
  await until('a renewal was refused', () => client.requests > before);
  await api.start();
  const version = api.find(LEASES, 'a', 'w')?.metadata.resourceVersion;
  await until('one renewed', () => api.find(LEASES, 'a', 'w')?.metadata.resourceVersion !== version);
  assert.equal(one.terms, 1);
  one.stop.abort();
  await one.done;
});

test('what the work throws comes out', async () => {
  const stop = new AbortController();
  const options = { client, namespace: 'a', name: 'v', identity: 'one', retryMs: 50 };
  await assert.rejects(
    runElection(options, () => Promise.reject(new Error('mine')), stop.signal),
    /mine/,
  );
});
