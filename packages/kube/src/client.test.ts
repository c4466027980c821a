import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type AnyObject,
  Client,
  errorFromStatus,
  isKubeError,
  KubeError,
  kinds,
  type Pod,
  retryDelay,
} from './index.ts';
import { ApiServer } from './testing/api-server.ts';
import { until } from './testing/until.ts';

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

function pod(name: string): Pod & AnyObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name }, spec: { containers: [] } };
}

const code = (expected: string) => (error: unknown) => error instanceof KubeError && error.code === expected;

test('creates, reads, updates by version, patches and deletes', async () => {
  const made = await client.create(kinds.Pod, pod('one'));
  assert.ok(made.metadata.uid);
  await assert.rejects(client.create(kinds.Pod, pod('one')), code('AlreadyExists'));
  const read = await client.get(kinds.Pod, { namespace: 'a', name: 'one' });
  assert.equal(read.metadata.resourceVersion, made.metadata.resourceVersion);
  await client.update(kinds.Pod, { ...read, spec: { containers: [], nodeName: 'n' } });
  await assert.rejects(client.update(kinds.Pod, read), code('Conflict'));
  await client.patch(kinds.Pod, read.metadata, {
    type: 'merge',
    body: { spec: { containers: [], nodeName: 'm' } },
  });
  assert.equal(
    api.find('pods', 'a', 'one')?.spec && (await client.get(kinds.Pod, read.metadata)).spec.nodeName,
    'm',
  );
  await client.delete(kinds.Pod, read.metadata);
  await assert.rejects(client.get(kinds.Pod, read.metadata), code('NotFound'));
  assert.equal(await client.find(kinds.Pod, read.metadata), undefined);
});

test('lists page by page and names each item', async () => {
  for (let n = 0; n < 7; n++)
    api.put('pods', { ...pod(`page-${n}`), metadata: { namespace: 'pages', name: `page-${n}` } });
  const before = api.log.length;
  const { items } = await client.list(kinds.Pod, { namespace: 'pages', limit: 3 });
  assert.equal(items.length, 7);
  assert.equal(api.log.length - before, 3);
  assert.equal(items[0]!.kind, 'Pod');
  assert.equal(items[0]!.apiVersion, 'v1');
});

test('waits out a 429 with its Retry-After, also for a write', async () => {
  api.faults = [{ match: 'POST', times: 2, status: 429, headers: { 'retry-after': '0' } }];
  await client.create(kinds.Pod, pod('throttled'));
  assert.ok(api.find('pods', 'a', 'throttled'));
});

test('a token that is refused is read again, once', async () => {
  let forgotten = 0;
  const token = Object.assign(() => 'a', { forget: () => void forgotten++ });
  const other = new Client({ ...client.config, token });
  api.faults = [{ match: 'POST', times: 1, status: 401 }];
  await other.create(kinds.Pod, pod('rotated'));
  assert.equal(forgotten, 1);
  api.faults = [{ match: 'POST', times: 2, status: 401 }];
  await assert.rejects(other.create(kinds.Pod, pod('stranger')), code('Unauthorized'));
  api.faults = [];
  other.close();
});

test('a read goes around a broken connection, a write does not', async () => {
  api.faults = [{ match: 'GET', times: 1, breakAfter: true }];
  api.put('pods', pod('broken'));
  await client.get(kinds.Pod, { namespace: 'a', name: 'broken' });
  const log = api.log.length;
  api.faults = [{ match: 'POST', times: 1, breakAfter: true }];
  await assert.rejects(client.create(kinds.Pod, pod('unknown')), code('Unreachable'));
  assert.equal(api.log.length - log, 1, 'sent once: it may have been carried out');
  assert.ok(api.find('pods', 'a', 'unknown'));
});

test('an answer that is too slow is a Timeout at its time', async () => {
  api.faults = [{ match: 'GET', times: 9, delayMs: 60_000 }];
  const began = performance.now();
  await assert.rejects(
    client.get(kinds.Pod, { namespace: 'a', name: 'slow' }, { timeoutMs: 100 }),
    code('Timeout'),
  );
  assert.ok(performance.now() - began < 2_000);
  api.faults = [];
});

test('an aborted call ends as Aborted', async () => {
  api.faults = [{ match: 'GET', times: 1, delayMs: 60_000 }];
  const stop = new AbortController();
  const call = client.get(kinds.Pod, { namespace: 'a', name: 'slow' }, { signal: stop.signal });
  await until('the request is there', () => api.faults[0]!.times === 0);
  stop.abort();
  await assert.rejects(call, code('Aborted'));
  await assert.rejects(
    client.get(kinds.Pod, { namespace: 'a', name: 'x' }, { signal: stop.signal }),
    code('Aborted'),
  );
  api.faults = [];
});

test('calls during a restart of the server wait for it', async () => {
  await api.stop();
  const before = client.requests;
  const call = client.create(kinds.Pod, pod('patient'));
  const read = client.find(kinds.Pod, { namespace: 'a', name: 'nobody' });
  await until('both were refused and tried again', () => client.requests >= before + 4);
  await api.start();
  await call;
  assert.equal(await read, undefined);
  await api.stop();
  await assert.rejects(client.list(kinds.Pod, { timeoutMs: 200 }), code('Unreachable'));
  await assert.rejects(client.list(kinds.Pod, { retry: false }), code('Unreachable'));
  await api.start();
});

test('a watch gives events however they are cut, and 410 as Gone', async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const { metadata } = await client.list(kinds.Pod);
  const watch = (async () => {
    const events = client.watch(kinds.Pod, {
      resourceVersion: metadata.resourceVersion,
      signal: stop.signal,
    });
    for await (const { type, object } of events) seen.push(`${type} ${object.metadata.name}`);
  })();
  await until('the watch is open', () => api.watching === 1);
  api.say('{"type":"ADDED","object":{"metadata":{"na');
  await new Promise((resolve) => setImmediate(resolve));
  api.say('me":"cut"}}}\n{"type":"MODIFIED","object":{"metadata":{"name":"two"}}}\n');
  await until('both are there', () => seen.length === 2);
  assert.deepEqual(seen, ['ADDED cut', 'MODIFIED two']);
  stop.abort();
  await watch;
  await until('the server saw the end', () => api.watching === 0);
  api.compact();
  await assert.rejects(async () => {
    for await (const _ of client.watch(kinds.Pod, { resourceVersion: '1' }));
  }, code('Gone'));
});

test('refusals of namespaces and clusters come with what to do', () => {
  const cases: [said: string, hint: RegExp][] = [
    [
      'pods "demo-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3',
      /raise/,
    ],
    ['pods "demo-1" is forbidden: failed quota: q: must specify limits.cpu for: postgres', /spec\.resources/],
    ['pods "demo-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi', /LimitRange/],
    [
      'persistentvolumeclaims "demo-1" is forbidden: minimum storage usage per PersistentVolumeClaim is 2Gi, but request is 1Gi',
      /LimitRange/,
    ],
    [
      'pods "demo-1" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4',
      /LimitRange/,
    ],
    ['pods "demo-1" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', /pod-security/],
    ['pods "demo-1" is forbidden: no PriorityClass with name high was found', /priorityClassName/],
    [
      'persistentvolumeclaims "demo-1" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
      /allowVolumeExpansion/,
    ],
    [
      'pods "demo-1" is forbidden: unable to create new content in namespace a because it is being terminated',
      /deleted/,
    ],
    [
      'leases "x" is forbidden: User "y" cannot update resource "leases" in API group "coordination.k8s.io"',
      /Role/,
    ],
  ];
  for (const [message, hint] of cases) {
    const error = errorFromStatus('creating', 403, { kind: 'Status', message, reason: 'Forbidden' });
    assert.equal(error.code, 'Forbidden');
    assert.match(error.hint ?? '', hint, message);
    assert.ok(error.message.endsWith(message), 'with the words of Kubernetes');
  }
});

test('what may be sent again', () => {
  const error = (c: ConstructorParameters<typeof KubeError>[0], o = {}) => new KubeError(c, 'x', o);
  const may = (e: unknown, reading: boolean, attempt = 0) => retryDelay(e, attempt, reading) !== undefined;
  const cases: [string, unknown, boolean, boolean][] = [
    ['refused, read', error('Unreachable', { reason: 'ECONNREFUSED' }), true, true],
    ['refused, write', error('Unreachable', { reason: 'ECONNREFUSED' }), false, true],
    ['no socket file, write', error('Unreachable', { reason: 'ENOENT' }), false, true],
    ['reset, read', error('Unreachable', { reason: 'ECONNRESET' }), true, true],
    ['reset, write', error('Unreachable', { reason: 'ECONNRESET' }), false, false],
    ['stale, write', error('Unreachable', { reason: 'StaleConnection' }), false, false],
    ['throttled, write', error('TooManyRequests'), false, true],
    [
      'eviction refused',
      error('TooManyRequests', { details: { causes: [{ reason: 'DisruptionBudget' }] } }),
      false,
      false,
    ],
    ['unavailable, read', error('Unavailable'), true, true],
    ['unavailable, write', error('Unavailable'), false, false],
    ['timeout, read', error('Timeout'), true, false],
    ['conflict', error('Conflict'), false, false],
    ['not ours', new Error('x'), true, false],
  ];
  for (const [name, e, reading, expected] of cases) assert.equal(may(e, reading), expected, name);
  assert.ok(isKubeError(error('Gone'), 'Gone', 'NotFound'));
});
