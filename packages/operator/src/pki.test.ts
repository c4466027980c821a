import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import {
  authorityProblem,
  createAuthority,
  createLeaf,
  expiryOf,
  leafProblem,
  renewAuthority,
} from './pki.ts';

const now = new Date();
const authority = await createAuthority({ commonName: 'demo-ca', now, days: 90 });
const DAY_MS = 86_400_000;

test('a leaf is believed by a TLS client that knows the authority, under its names only', async () => {
  const leaf = await createLeaf(authority, {
    commonName: 'demo-rw',
    dnsNames: ['demo-rw', 'demo-rw.default.svc'],
    usage: 'server',
    now,
    days: 90,
  });
  const client = await createLeaf(authority, {
    commonName: 'pgherd-operator',
    usage: 'client',
    now,
    days: 7,
  });
  const server = createServer({
    ...leaf,
    ca: authority.cert,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  });
  const seen: string[] = [];
  server.on('secureConnection', (socket: TLSSocket) => {
    seen.push(String(socket.getPeerCertificate().subject.CN));
    socket.end('x');
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const dial = async (servername: string) => {
    const socket = connect({ port, host: '127.0.0.1', servername, ca: authority.cert, ...client });
    try {
      await once(socket, 'data');
      return 'ok';
    } catch (error) {
      return (error as { code: string }).code;
    } finally {
      socket.destroy();
    }
  };
  try {
    assert.equal(await dial('demo-rw.default.svc'), 'ok');
    assert.equal(await dial('other-rw'), 'ERR_TLS_CERT_ALTNAME_INVALID');
    assert.deepEqual(seen[0], 'pgherd-operator');
  } finally {
    server.close();
  }
});

test('a leaf does not outlive its authority', async () => {
  const leaf = await createLeaf(authority, { commonName: 'x', usage: 'client', now, days: 365 });
  assert.equal(expiryOf(leaf.cert)?.getTime(), expiryOf(authority.cert)?.getTime());
});

test('an authority lasts as long as asked and is one', () => {
  const days = (expiryOf(authority.cert)!.getTime() - now.getTime()) / DAY_MS;
  assert.ok(Math.abs(days - 90) < 0.01, String(days));
  assert.equal(authorityProblem(authority), undefined);
});

test('a renewed authority and the old one believe the same leaves', async () => {
  const renewed = await renewAuthority(authority, { now: new Date(now.getTime() + 83 * DAY_MS), days: 90 });
  assert.notEqual(renewed.cert, authority.cert);
  const old = await createLeaf(authority, { commonName: 'x', usage: 'client', now, days: 90 });
  const fresh = await createLeaf(renewed, { commonName: 'x', usage: 'client', now, days: 90 });
  for (const ca of [authority.cert, renewed.cert])
    for (const leaf of [old, fresh]) {
      assert.ok(new X509Certificate(leaf.cert).checkIssued(new X509Certificate(ca)));
      assert.equal(leafProblem(leaf, ca, { commonName: 'x' }), undefined);
    }
});

test('what is wrong with a leaf is said', async () => {
  const other = await createAuthority({ commonName: 'other-ca', now, days: 90 });
  const leaf = await createLeaf(authority, {
    commonName: 'demo-rw',
    dnsNames: ['demo-rw'],
    usage: 'server',
    now,
    days: 90,
  });
  const second = await createLeaf(authority, { commonName: 'demo-rw', usage: 'server', now, days: 90 });
  const check = { commonName: 'demo-rw', dnsNames: ['demo-rw'] };
  assert.equal(leafProblem(leaf, authority.cert, check), undefined);
  assert.match(leafProblem(leaf, other.cert, check)!, /another authority/);
  assert.match(leafProblem({ ...leaf, key: second.key }, authority.cert, check)!, /key/);
  assert.match(leafProblem(leaf, authority.cert, { ...check, dnsNames: ['demo-rw', 'demo-r'] })!, /demo-r$/);
  assert.match(leafProblem(leaf, authority.cert, { commonName: 'demo' })!, /another name/);
  assert.match(leafProblem({ cert: 'x', key: 'y' }, authority.cert, check)!, /cannot be read/);
});

for (const [what, pair] of [
  ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
] as const)
  test(`a user's own authority with a ${what} key signs too`, async () => {
    const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const own = await renewAuthority({ cert: authority.cert, key }, { now, days: 30 });
    const leaf = await createLeaf(own, { commonName: 'x', usage: 'client', now, days: 10 });
    assert.equal(leafProblem(leaf, own.cert, { commonName: 'x' }), undefined);
  });

test('an unreadable authority is a coded error with a hint', async () => {
  await assert.rejects(
    createLeaf({ cert: 'nonsense', key: 'nonsense' }, { commonName: 'x', usage: 'client', now, days: 1 }),
    { name: 'OperatorError', code: 'pki' },
  );
});
