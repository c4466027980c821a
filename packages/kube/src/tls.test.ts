import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Client, createCache, inClusterConfig, KubeError, kinds } from './index.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { proxyAt } from './proxy.ts';
import { ApiServer } from './testing/api-server.ts';
import { connectProxy, socksProxy } from './testing/proxies.ts';
import { until } from './testing/until.ts';

let api: ApiServer;
let ca: string;
const folder = mkdtempSync(join(tmpdir(), 'pgherd-kube-'));
const ref = { namespace: 'a', name: 'nobody' };

before(async () => {
  const { cert, key } = await selfSigned();
  ca = cert;
  api = new ApiServer({ cert, key });
  await api.start();
});

after(async () => {
  await api.stop();
  rmSync(folder, { recursive: true });
});

async function selfSigned(): Promise<{ cert: string; key: string }> {
  await import('reflect-metadata').catch(() => {});
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=test',
      notAfter: new Date(Date.now() + 3_600_000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'ip', value: '127.0.0.1' },
          { type: 'ip', value: '::1' },
        ]),
      ],
    },
    webcrypto as typeof globalThis.crypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/(.{64})/g, '$1\n').trim()}\n-----END PRIVATE KEY-----\n`,
  };
}

test('the certificate of the server is checked', async () => {
  const trusting = new Client({ server: api.url, ca });
  assert.equal(await trusting.find(kinds.Pod, ref), undefined);
  trusting.close();
  const stranger = new Client({ server: api.url });
  await assert.rejects(
    stranger.find(kinds.Pod, ref, { timeoutMs: 1_000 }),
    (error) => error instanceof KubeError && error.code === 'Unreachable' && error.hint !== undefined,
  );
  stranger.close();
  const careless = new Client({ server: api.url, insecure: true });
  assert.equal(await careless.find(kinds.Pod, ref), undefined);
  careless.close();
});

test('behind a proxy too the certificate is that of the API server', async (t) => {
  for (const start of [connectProxy, socksProxy]) {
    const one = await start();
    t.after(one.stop);
    const proxy = proxyAt(one.url, api.url, 'proxy-url');
    const trusting = new Client({ server: api.url, ca, proxy });
    assert.equal(await trusting.find(kinds.Pod, ref), undefined);
    const stranger = new Client({ server: api.url, proxy });
    await assert.rejects(stranger.find(kinds.Pod, ref, { timeoutMs: 1_000 }), /certificate/);
    const byName = api.url.replace('127.0.0.1', 'localhost');
    const other = new Client({ server: byName, ca, proxy: proxyAt(one.url, byName, 'proxy-url') });
    await assert.rejects(other.find(kinds.Pod, ref, { timeoutMs: 1_000 }), /altnames/);
    for (const each of [trusting, stranger, other]) each.close();
    assert.ok(one.asked.length > 1);
  }
});

test('an API server with an IPv6 address is talked to, and its certificate is checked', async () => {
  const { cert, key } = await selfSigned();
  const six = new ApiServer({ cert, key }, '::1');
  await six.start();
  const client = new Client({ server: six.url, ca: cert });
  assert.equal(await client.find(kinds.Pod, ref), undefined);
  const stop = new AbortController();
  const cache = createCache(client, kinds.Pod);
  cache.start(stop.signal);
  await cache.synced();
  six.put('pods', { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'a', name: 'x' } });
  await until('it is there', () => cache.get('a', 'x') !== undefined);
  stop.abort();
  const stranger = new Client({ server: six.url, ca });
  await assert.rejects(stranger.find(kinds.Pod, ref, { timeoutMs: 1_000 }), /certificate/);
  for (const each of [client, stranger]) each.close();
  await six.stop();
});

test('a kubeconfig is read and followed', async () => {
  const path = join(folder, 'config');
  writeFileSync(join(folder, 'ca.crt'), ca);
  writeFileSync(
    path,
    `apiVersion: v1
kind: Config
current-context: two
clusters:
- {name: c, cluster: {server: "${api.url}", certificate-authority: ca.crt}}
- {name: d, cluster: {server: "${api.url}", certificate-authority-data: ${Buffer.from(ca).toString('base64')}}}
users:
- {name: u, user: {token: secret}}
- {name: x, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, 'echo "{\\"apiVersion\\":\\"client.authentication.k8s.io/v1\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"from-plugin\\"}}"']}}}
- {name: y, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./no-such-plugin, installHint: install it}}}
- {name: z, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: sh, args: [-c, 'exit 3']}}}
- {name: o, user: {auth-provider: {name: gcp}}}
- {name: b, user: {username: u, password: p}}
contexts:
- {name: one, context: {cluster: c, user: u}}
- {name: two, context: {cluster: d, user: u, namespace: mine}}
- {name: three, context: {cluster: d, user: x}}
- {name: broken, context: {cluster: d, user: y}}
- {name: silent, context: {cluster: d, user: z}}
- {name: old, context: {cluster: d, user: o}}
- {name: basic, context: {cluster: d, user: b}}
`,
  );
  const two = await loadKubeconfig({ path });
  assert.equal(two.namespace, 'mine');
  assert.equal(await two.token?.(), 'secret');
  for (const context of ['one', 'two', 'three']) {
    const client = new Client(await loadKubeconfig({ path, context }));
    assert.equal(await client.find(kinds.Pod, ref), undefined, context);
    const { authorization } = await client.authorization();
    assert.equal(authorization, context === 'three' ? 'Bearer from-plugin' : 'Bearer secret');
    client.close();
  }
  const basic = new Client(await loadKubeconfig({ path, context: 'basic' }));
  assert.equal((await basic.authorization()).authorization, 'Basic dTpw');
  basic.close();
  await assert.rejects(
    loadKubeconfig({ path, context: 'broken' }),
    (error) => error instanceof KubeError && error.hint === 'install it',
  );
  await assert.rejects(loadKubeconfig({ path, context: 'silent' }), /plugin sh: it ended with exit code 3/);
  await assert.rejects(loadKubeconfig({ path, context: 'old' }), /gave up in 1.26/);
  await assert.rejects(loadKubeconfig({ path, context: 'four' }), /no context four/);
  await assert.rejects(loadKubeconfig({ path: join(folder, 'none') }), /does not exist/);
});

test('a pod finds its API server, also by an IPv6 address', () => {
  writeFileSync(join(folder, 'token'), 'abc\n');
  writeFileSync(join(folder, 'namespace'), 'ns');
  writeFileSync(join(folder, 'ca.crt'), ca);
  const config = inClusterConfig(
    { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' },
    folder,
  );
  assert.equal(config.server, 'https://[fd00::1]:6443');
  assert.equal(config.token?.(), 'abc');
  writeFileSync(join(folder, 'token'), 'def\n');
  assert.equal(config.token?.(), 'abc', 'a reading is good for a while');
  config.token?.forget?.();
  assert.equal(config.token?.(), 'def');
  assert.equal(config.namespace, 'ns');
  assert.throws(() => inClusterConfig({}, folder), /KUBERNETES_SERVICE_HOST/);
});
