import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { createAuthority, createLeaf, type KeyPair } from '../pki.ts';
import { clusterDomainOf } from '../settings.ts';
import { bareFacts, NOW, testCluster } from '../testing/facts.ts';
import { certificateProblems, leafCheck, leafSource, serverAuthority } from './certificates.ts';
import type { Facts } from './facts.ts';
import { planCertificates } from './plan-certificates.ts';
import { missingSecrets } from './plan-secrets.ts';
import { secret } from './specs/secrets.ts';

const span = { now: new Date(NOW), days: 90 };
const own = await createAuthority({ commonName: 'demo-ca', ...span });
const corporate = await createAuthority({ commonName: 'corporate', ...span });
const names = ['demo-rw', 'demo-rw.default', 'demo-rw.default.svc'];
const leaf = (dnsNames: string[], more = {}) =>
  createLeaf(corporate, { commonName: 'db', dnsNames, usage: 'server', ...span, ...more });
const given = await leaf(names);
const tls = (pair: KeyPair) => ({ 'tls.crt': pair.cert, 'tls.key': pair.key });

function facts(certificates: object, secrets: Record<string, Record<string, string>>): Facts {
  const made = bareFacts(testCluster({ certificates }));
  for (const [name, data] of Object.entries(secrets))
    made.secrets.set(name, secret(made, name, 'Opaque', data));
  return made;
}

const BOTH = { serverCASecret: 'corp', serverTLSSecret: 'corp-tls' };
const ownSecret = { 'ca.crt': own.cert, 'ca.key': own.key };
const trust = `${corporate.cert.trim()}\n${own.cert.trim()}\n`;

describe('the source of a certificate', () => {
  it('is our authority by default', () => {
    assert.deepEqual(leafSource(facts({}, {}), 'server', own), { signer: own, trust: own.cert });
  });
  it("is the user's authority where its key is there", () => {
    const known = facts(
      { serverCASecret: 'corp' },
      { corp: { 'ca.crt': corporate.cert, 'ca.key': corporate.key } },
    );
    assert.deepEqual(leafSource(known, 'server', own), { signer: corporate, trust });
    assert.equal(serverAuthority(known, own.cert), corporate.cert);
    // The other certificate is not concerned.
    assert.equal(leafSource(known, 'replication', own)?.signer, own);
  });
  it("is the user's certificate, taken as it is", () => {
    const known = facts(BOTH, { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(given) });
    assert.deepEqual(leafSource(known, 'server', own), { given, trust });
  });
  it('is none while a secret is not there', () => {
    const known = facts(BOTH, { corp: { 'ca.crt': corporate.cert } });
    assert.equal(leafSource(known, 'server', own), undefined);
    assert.deepEqual(missingSecrets(known), ['corp-tls']);
  });
});

const old = await leaf(names, { now: new Date(NOW - 100 * 86_400_000), days: 30 });
const stranger = await createLeaf(own, { commonName: 'db', dnsNames: names, usage: 'server', ...span });
const CASES: [
  what: string,
  certificates: object,
  secrets: Record<string, Record<string, string>>,
  says: RegExp | undefined,
][] = [
  ['nothing of the user', {}, {}, undefined],
  ['all there', BOTH, { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(given) }, undefined],
  ['no ca.crt', BOTH, { corp: {}, 'corp-tls': tls(given) }, /the secret corp has no ca\.crt/],
  [
    'no key to sign with',
    { serverCASecret: 'corp' },
    { corp: { 'ca.crt': corporate.cert } },
    /no ca\.key.*serverTLSSecret/,
  ],
  [
    'no tls.key',
    BOTH,
    { corp: { 'ca.crt': corporate.cert }, 'corp-tls': { 'tls.crt': given.cert } },
    /lacks tls\.crt or tls\.key/,
  ],
  [
    'another authority',
    BOTH,
    { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(stranger) },
    /another authority signed it/,
  ],
  [
    'too few names',
    BOTH,
    { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(await leaf(['demo-rw'])) },
    /lacks the names demo-rw\.default, demo-rw\.default\.svc/,
  ],
  [
    'one that ended',
    BOTH,
    { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(old) },
    /ended at .*put a new one there/,
  ],
  [
    'a replica of another name',
    { clientCASecret: 'corp', replicationTLSSecret: 'corp-tls' },
    { corp: { 'ca.crt': corporate.cert }, 'corp-tls': tls(given) },
    /another name than streaming_replica/,
  ],
];

describe('problems with what the user brings', () => {
  for (const [what, certificates, secrets, says] of CASES)
    it(`tells of ${what}`, () => {
      const found = certificateProblems(facts(certificates, secrets)).join('; ');
      if (says) assert.match(found, says);
      else assert.equal(found, '');
    });
});

test("the user's certificate is followed", () => {
  const known = facts(BOTH, {
    corp: { 'ca.crt': corporate.cert },
    'corp-tls': tls(given),
    'demo-ca': ownSecret,
  });
  const put = (name: string, data: Record<string, string>) =>
    known.secrets.set(name, secret(known, name, 'kubernetes.io/tls', data));
  assert.deepEqual(planCertificates(known), [
    { do: 'certificates', authority: 'keep', leaves: ['server', 'replication'] },
  ]);
  put('demo-server', { ...tls(given), 'ca.crt': trust });
  assert.deepEqual(planCertificates(known), [
    { do: 'certificates', authority: 'keep', leaves: ['replication'] },
  ]);
  put('demo-server', { ...tls(stranger), 'ca.crt': trust });
  assert.deepEqual(planCertificates(known), [
    { do: 'certificates', authority: 'keep', leaves: ['server', 'replication'] },
  ]);
});

test('names of services have the domain of the cluster, and more where asked', () => {
  const known = { ...facts({ serverAltDNSNames: ['db.example.com'] }, {}), clusterDomain: 'corp.internal' };
  const { dnsNames } = leafCheck('server', known);
  for (const name of ['demo-rw.default.svc.corp.internal', 'demo-ro', 'db.example.com'])
    assert.ok(dnsNames?.includes(name), name);
});

test('the domain of the cluster stands in the search list', () => {
  const conf =
    'nameserver 10.96.0.10\nsearch ns.svc.corp.internal svc.corp.internal corp.internal lan\noptions ndots:5\n';
  assert.equal(clusterDomainOf(conf), 'corp.internal');
  assert.equal(clusterDomainOf('nameserver 1.1.1.1\nsearch lan\n'), 'cluster.local');
  assert.equal(clusterDomainOf(''), 'cluster.local');
});
