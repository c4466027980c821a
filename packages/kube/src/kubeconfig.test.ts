import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { Client, KubeError, kinds } from './index.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { exec } from './streams.ts';
import { connectProxy, socksProxy, type TestProxy } from './testing/proxies.ts';

const folder = mkdtempSync(join(tmpdir(), 'pgherd-kubeconfig-'));
const ref = { namespace: 'a', name: 'p' };
const seen: IncomingMessage[] = [];
/** Says that there is no such object, and lets every command end well. */
const server = createServer((request, response) => {
  seen.push(request);
  response.writeHead(404).end(JSON.stringify({ kind: 'Status', code: 404, reason: 'NotFound' }));
});
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket, request) => {
  seen.push(request);
  socket.send(Buffer.concat([Buffer.from([3]), Buffer.from('{"status":"Success"}')]));
  socket.close();
});
let url: string;

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(async () => {
  for (const socket of sockets.clients) socket.terminate();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

let files = 0;

/** A kubeconfig with one context; the fields of its cluster and its user are those of JSON. */
function written(cluster: object, user?: object): string {
  const path = join(folder, `config-${files++}`);
  const config = {
    'current-context': 'c',
    clusters: [{ name: 'one', cluster: { server: url, ...cluster } }],
    users: user ? [{ name: 'me', user }] : [],
    contexts: [{ name: 'c', context: { cluster: 'one', ...(user ? { user: 'me' } : {}) } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

async function refusal(path: string, wanted: RegExp): Promise<KubeError> {
  let found: unknown;
  await assert.rejects(loadKubeconfig({ path, env: {} }), (error) => {
    found = error;
    return error instanceof KubeError && error.code === 'Config' && wanted.test(error.message);
  });
  return found as KubeError;
}

for (const [name, start] of [
  ['http', () => connectProxy('me:pass')],
  ['socks5', socksProxy],
] as const)
  test(`proxy-url: requests and sessions go through a proxy (${name})`, async (t) => {
    const proxy: TestProxy = await start();
    t.after(proxy.stop);
    const withLogin = proxy.url.replace('http://', 'http://me:pass@');
    const client = new Client(await loadKubeconfig({ path: written({ 'proxy-url': withLogin }), env: {} }));
    t.after(() => client.close());
    assert.equal(await client.find(kinds.Pod, ref), undefined);
    assert.equal(await client.find(kinds.Pod, ref), undefined);
    const before = proxy.asked.length;
    assert.equal(before, 1, 'the connection is kept');
    assert.equal(await exec(client, ref, { command: ['true'] }), 0);
    assert.equal(proxy.asked.length, 2);
    for (const each of proxy.asked) assert.ok(each.endsWith(url.slice('http://'.length)), each);
  });

test('proxy-url: what the proxy refuses, and a proxy that is not there, is said with its name', async (t) => {
  const proxy = await connectProxy('me:pass');
  t.after(proxy.stop);
  const nobody = await connectProxy();
  await nobody.stop();
  for (const [at, why] of [
    [proxy.url, /407/],
    [nobody.url, /ECONNREFUSED/],
  ] as const) {
    const client = new Client(await loadKubeconfig({ path: written({ 'proxy-url': at }), env: {} }));
    await assert.rejects(client.delete(kinds.Pod, ref, { timeoutMs: 500 }), (error) => {
      assert.ok(error instanceof KubeError && error.code === 'Unreachable', String(error));
      assert.match(error.message, why);
      assert.ok(error.message.includes(`through the proxy ${at}`), error.message);
      return true;
    });
    client.close();
  }
});

test('what cannot be followed is refused by its name', async () => {
  for (const wrong of ['ftp://proxy', 'proxy:3128', 'nonsense'])
    await refusal(written({ 'proxy-url': wrong }), /cluster one: proxy-url: .* is no URL of a proxy/);
  for (const wrong of ['', 'localhost', 'ftp://x'])
    await refusal(written({ server: wrong }), /cluster one: server: .* is no address of an API/);
  const path = join(folder, 'gaps');
  const context = (fields: string) => `{current-context: c, contexts: [{name: c, context: ${fields}}]}`;
  writeFileSync(path, context('{cluster: x}'));
  await refusal(path, /context c names a cluster x/);
  writeFileSync(path, context(''));
  await refusal(path, /context c names no cluster/);
  const always = { exec: { command: 'sh', args: ['-c', 'exit 1'], interactiveMode: 'Always' } };
  if (!process.stdin.isTTY) await refusal(written({}, always), /there is no terminal/);
});

test('a user that a context names and that is missing is not nobody', async () => {
  const path = join(folder, 'nobody');
  const config = {
    'current-context': 'c',
    clusters: [{ name: 'y', cluster: { server: url } }],
    contexts: [{ name: 'c', context: { cluster: 'y', user: 'z' } }],
  };
  writeFileSync(path, JSON.stringify(config));
  await refusal(path, /context c names a user z/);
});

test('as: whoever acts as somebody else has no more rights than that', async () => {
  const user = {
    token: 't',
    as: 'jane',
    'as-uid': '7',
    'as-groups': ['a', 'b'],
    'as-user-extra': { 'example.org/scope': ['x', 'y'] },
  };
  const client = new Client(await loadKubeconfig({ path: written({}, user), env: {} }));
  seen.length = 0;
  await client.find(kinds.Pod, ref);
  assert.equal(await exec(client, ref, { command: ['true'] }), 0);
  client.close();
  assert.equal(seen.length, 2);
  for (const { headersDistinct: headers } of seen) {
    assert.deepEqual(headers.authorization, ['Bearer t']);
    assert.deepEqual(headers['impersonate-user'], ['jane']);
    assert.deepEqual(headers['impersonate-uid'], ['7']);
    assert.deepEqual(headers['impersonate-group'], ['a', 'b']);
    assert.deepEqual(headers['impersonate-extra-example.org%2fscope'], ['x', 'y']);
  }
});

test('a credential plugin is told of the proxy and of its own settings', async (t) => {
  const proxy = await connectProxy();
  t.after(proxy.stop);
  const told = join(folder, 'told');
  const answer = '{"status":{"token":"from-plugin"}}';
  const plugin = {
    command: 'sh',
    args: ['-c', `printf %s "$KUBERNETES_EXEC_INFO" >"$TOLD"; echo '${answer}'`],
    env: [{ name: 'TOLD', value: told }],
    provideClusterInfo: true,
    interactiveMode: 'Never',
  };
  const extensions = [{ name: 'client.authentication.k8s.io/exec', extension: { audience: 'x' } }];
  const path = written({ 'proxy-url': proxy.url, extensions }, { exec: plugin });
  const config = await loadKubeconfig({ path, env: {} });
  assert.deepEqual(await config.headers?.(), { authorization: 'Bearer from-plugin' });
  const { spec } = JSON.parse(readFileSync(told, 'utf8'));
  assert.equal(spec.cluster['proxy-url'], proxy.url);
  assert.deepEqual(spec.cluster.config, { audience: 'x' });
});

test('KUBECONFIG: of several files the first to say something counts, and one may be missing', async () => {
  const [one, two] = [join(folder, 'first'), join(folder, 'second')];
  writeFileSync(one, JSON.stringify({ users: [{ name: 'me', user: { token: 'first' } }] }));
  writeFileSync(
    two,
    JSON.stringify({
      'current-context': 'c',
      clusters: [{ name: 'k', cluster: { server: url } }],
      users: [{ name: 'me', user: { token: 'second' } }],
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'me', namespace: 'n' } }],
    }),
  );
  const env = { KUBECONFIG: [one, join(folder, 'missing'), two].join(':') };
  const config = await loadKubeconfig({ env });
  assert.equal(await config.token?.(), 'first');
  assert.equal(config.namespace, 'n');
});
