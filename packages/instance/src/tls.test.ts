import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Secret } from '@pgherd/kube';
import { testFolder } from '@pgherd/postgres/testing';
import { makeTls } from './testing.ts';
import { readTlsFiles, tlsMaterial, writeTlsFiles } from './tls.ts';

const folder = testFolder();

const secret = (name: string, data: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'default' },
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
});
const server = secret('demo-server', { 'tls.crt': 'S', 'tls.key': 'SK', 'ca.crt': 'CA\n' });
const replication = secret('demo-replication', { 'tls.crt': 'R', 'tls.key': 'RK', 'ca.crt': 'CA\n' });

test('secrets become files, once; keys are ours alone', async () => {
  const at = join(folder, 'tls');
  assert.equal(readTlsFiles(at), undefined);
  const material = tlsMaterial(server, replication);
  assert.deepEqual(material, {
    ca: 'CA\n',
    clientCa: 'CA\n',
    serverCert: 'S',
    serverKey: 'SK',
    clientCert: 'R',
    clientKey: 'RK',
  });
  assert.equal(await writeTlsFiles(at, material), true);
  assert.equal(await writeTlsFiles(at, material), false);
  assert.equal(statSync(join(at, 'server.key')).mode & 0o777, 0o600);
  assert.equal(await writeTlsFiles(at, { ...material, serverCert: 'S2' }), true);
});

test('files that a manager was ended over are none: a certificate without its key would end the next one too', async () => {
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  makeTls(one, ['demo-rw']);
  makeTls(two, ['demo-rw']);
  const [before, renewed] = [readTlsFiles(one)!, readTlsFiles(two)!];
  await writeTlsFiles(one, { ...before, serverCert: renewed.serverCert });
  assert.equal(readTlsFiles(one), undefined);
  await writeTlsFiles(one, renewed);
  assert.deepEqual(readTlsFiles(one), renewed);
  await writeTlsFiles(one, { ...renewed, clientKey: before.clientKey });
  assert.equal(readTlsFiles(one), undefined);
});

test('servers and clients may be vouched for by different authorities', () => {
  const other = secret('demo-server', { 'tls.crt': 'S', 'tls.key': 'SK', 'ca.crt': 'OTHER\n' });
  const { ca, clientCa } = tlsMaterial(other, replication);
  assert.deepEqual([ca, clientCa], ['OTHER\n', 'CA\n']);
});

test('what a secret lacks is named', () => {
  assert.throws(() => tlsMaterial(secret('demo-server', { 'tls.crt': 'S' }), replication), {
    code: 'BadSecret',
    message: /demo-server: it has no "(ca\.crt|tls\.key)"/,
  });
});
