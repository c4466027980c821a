import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { Agent, request } from 'node:https';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { InstanceReport } from '@pgherd/api';
import { testFolder } from '@pgherd/postgres/testing';
import { tlsFiles } from '../database/layout.ts';
import { PeersClient } from '../loop/peers-client.ts';
import { makeTls } from '../testing.ts';
import { readTlsFiles, type TlsMaterial } from '../tls.ts';
import { type ManagerServer, serveLocal, serveManager } from './manager-server.ts';

const SIX = networkInterfaces().lo?.some(({ family }) => family === 'IPv6') ?? false;
const folder = testFolder();
const files = tlsFiles(join(folder, 'tls'));
let material: TlsMaterial;
let server: ManagerServer;
let local: { close(): void };

const report = (ready: boolean): InstanceReport => ({
  name: 'demo-1',
  podUID: 'u',
  identity: 'u/1',
  role: 'replica',
  state: 'running',
  ready,
  leader: false,
  streaming: ready,
  replication: [],
  dataEmpty: false,
  ...(ready ? {} : { waiting: { what: 'its primary', since: '2026-01-01T00:00:00Z' } }),
});
let ready = true;
const answers = {
  report: () => report(ready),
  freshReport: async () => report(ready),
  changed: async () => undefined,
  grant: async (question: object) => ({ name: 'demo-1', question }),
  promise: async (question: object) => ({ name: 'demo-1', question }),
  prepare: async (question: object) => ({ name: 'demo-1', question }),
};

interface Got {
  status: number;
  text: string;
}

function get(
  path: string,
  o: {
    cert?: string;
    key?: string;
    method?: string;
    ca?: string;
    body?: string;
    host?: string;
    agent?: Agent;
  } = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const call = request({
      host: o.host ?? '127.0.0.1',
      port: server.port,
      path,
      servername: 'demo-r',
      method: o.method ?? 'GET',
      ca: o.ca ?? material.ca,
      agent: o.agent ?? false,
      ...(o.cert ? { cert: o.cert, key: o.key } : {}),
    });
    call.on('error', reject);
    call.on('response', (response) => collect(response, resolve));
    call.end(o.body);
  });
}

function collect(
  response: NodeJS.ReadableStream & { statusCode?: number },
  resolve: (got: Got) => void,
): void {
  let text = '';
  response.on('data', (chunk) => {
    text += chunk;
  });
  response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
}

/** A client certificate of the test's CA, or of itself. */
function clientCertificate(name: string, o: { selfSigned?: boolean } = {}): { cert: string; key: string } {
  const at = join(folder, 'tls');
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: at, stdio: 'ignore' });
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    'c.key',
    '-subj',
    `/CN=${name}`,
  ];
  if (o.selfSigned) openssl('req', '-x509', ...key, '-out', 'c.crt', '-days', '1');
  else {
    openssl('req', ...key, '-out', 'c.req');
    openssl(
      'x509',
      '-req',
      '-in',
      'c.req',
      '-CA',
      files.ca,
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      'c.crt',
      '-days',
      '1',
    );
  }
  return { cert: readFileSync(join(at, 'c.crt'), 'utf8'), key: readFileSync(join(at, 'c.key'), 'utf8') };
}

before(async () => {
  makeTls(join(folder, 'tls'), ['demo-rw', 'demo-r']);
  material = readTlsFiles(join(folder, 'tls'))!;
  server = await serveManager({ port: 0, material, answers });
  local = await serveLocal(join(folder, 'manager.sock'), answers);
});

after(() => {
  server.close();
  local.close();
});

test('it is reached by IPv4 and by IPv6', { skip: SIX ? false : 'this machine has no IPv6' }, async () => {
  for (const host of ['127.0.0.1', '::1']) assert.equal((await get('/healthz', { host })).status, 200, host);
  const peers = new PeersClient({
    cluster: 'demo',
    port: server.port,
    tls: () => ({ ca: material.ca, cert: material.clientCert, key: material.clientKey }),
  });
  const answered: string[] = [];
  await peers.ask([{ name: 'demo-1', address: '::1' }], 5_000, (name) => answered.push(name));
  peers.close();
  assert.deepEqual(answered, ['demo-1']);
});

test('probes need no certificate; readiness says why not', async () => {
  ready = true;
  assert.deepEqual(await get('/healthz'), { status: 200, text: 'ok\n' });
  assert.deepEqual(await get('/readyz'), { status: 200, text: 'ok\n' });
  ready = false;
  assert.deepEqual(await get('/readyz'), { status: 503, text: 'replica running: waiting for its primary\n' });
  ready = true;
});

test('the state is told to the operator and to siblings, to nobody else', async () => {
  assert.equal((await get('/status')).status, 403);
  assert.equal((await get('/status', clientCertificate('stranger'))).status, 403);
  assert.equal(
    (await get('/status', clientCertificate('pgherd-operator', { selfSigned: true }))).status,
    403,
  );
  assert.equal((await get('/status', clientCertificate('pgherd-operator'))).status, 200);
  const own = await get('/status', { cert: material.clientCert, key: material.clientKey });
  assert.equal(own.status, 200);
  assert.equal(JSON.parse(own.text).name, 'demo-1');
});

test('whose authority becomes known is let in by the same client, although it keeps its connection', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const other = { ...clientCertificate('pgherd-operator', { selfSigned: true }), agent };
  assert.equal((await get('/status', other)).status, 403);
  server.renew({ ...material, clientCa: `${material.clientCa}\n${other.cert}` });
  assert.equal((await get('/status', other)).status, 200);
  server.renew(material);
  agent.destroy();
});

test('grants and promises are asked for by siblings, in full, or refused', async () => {
  const own = { cert: material.clientCert, key: material.clientKey };
  const body = JSON.stringify({ candidate: 'demo-2', epoch: 4, version: '77' });
  assert.equal((await get('/grant?leader=u/1&epoch=4')).status, 403);
  assert.equal((await get('/promise', { method: 'POST', body })).status, 403);
  const granted = await get('/grant?leader=u%2F1&epoch=4', own);
  assert.deepEqual(JSON.parse(granted.text).question, { leader: 'u/1', epoch: 4 });
  const promised = await get('/promise', { ...own, method: 'POST', body });
  assert.deepEqual(JSON.parse(promised.text).question, { candidate: 'demo-2', epoch: 4, version: '77' });
  for (const query of ['', '?leader=u/1', '?leader=u/1&epoch=x', '?epoch=1'])
    assert.equal((await get(`/grant${query}`, own)).status, 400, query);
  for (const bad of [
    '',
    '[]',
    'null',
    '{"candidate":"demo-2","epoch":"4","version":"77"}',
    `"${'x'.repeat(9999)}"`,
  ])
    assert.equal(
      (await get('/promise', { ...own, method: 'POST', body: bad })).status,
      400,
      bad.slice(0, 80),
    );
  assert.equal((await get('/promise', own)).status, 405);
});

test('a leader that is about to stop says so to the others, in full, or is refused', async () => {
  const own = { cert: material.clientCert, key: material.clientKey, method: 'POST' };
  const body = JSON.stringify({ checkpoint: '1/A8' });
  assert.equal((await get('/prepare', { method: 'POST', body })).status, 403);
  assert.deepEqual(JSON.parse((await get('/prepare', { ...own, body })).text).question, {
    checkpoint: '1/A8',
  });
  for (const bad of ['', '{}', '{"checkpoint":1}', `{"checkpoint":"1/A8'"}`])
    assert.equal((await get('/prepare', { ...own, body: bad })).status, 400, bad);
});

test('anything else is refused', async () => {
  assert.equal((await get('/')).status, 404);
  assert.equal((await get('/healthz', { method: 'POST' })).status, 405);
});

test('inside the pod the same is told over a Unix socket', async () => {
  const got = await new Promise<Got>((resolve, reject) => {
    const call = httpRequest({ socketPath: join(folder, 'manager.sock'), path: '/status' }, (response) =>
      collect(response, resolve),
    );
    call.on('error', reject);
    call.end();
  });
  assert.equal(got.status, 200);
});

test('renewed certificates are used at once', async () => {
  const old = material;
  makeTls(join(folder, 'tls2'), ['demo-rw', 'demo-r']);
  const renewed = readTlsFiles(join(folder, 'tls2'))!;
  server.renew(renewed);
  await assert.rejects(get('/healthz', { ca: old.ca }));
  assert.equal((await get('/healthz', { ca: renewed.ca })).status, 200);
  server.renew(old);
});
