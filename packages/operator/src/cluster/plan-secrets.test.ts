import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '@pgherd/kube';
import { createAuthority, createLeaf } from '../pki.ts';
import { bareFacts, NOW, testCluster } from '../testing/facts.ts';
import { leafCheck } from './certificates.ts';
import type { Facts } from './facts.ts';
import { planCertificates } from './plan-certificates.ts';
import { desiredLogin, missingSecrets, planLogins } from './plan-secrets.ts';
import { decoded, secret } from './specs/secrets.ts';

const DAY_MS = 86_400_000;
const span = { now: new Date(NOW), days: 90 };
const authority = await createAuthority({ commonName: 'demo-ca', ...span });
const { commonName = '', dnsNames } = leafCheck('server', bareFacts());
const server = await createLeaf(authority, { commonName, dnsNames, usage: 'server', ...span });
const replication = await createLeaf(authority, {
  commonName: 'streaming_replica',
  usage: 'client',
  ...span,
});

function whole(spec: object = {}): Facts {
  const facts = bareFacts(testCluster(spec));
  const put = (name: string, type: string, data: Record<string, string>) =>
    facts.secrets.set(name, secret(facts, name, type, data));
  put('demo-ca', 'Opaque', { 'ca.crt': authority.cert, 'ca.key': authority.key });
  const leaf = (pair: { cert: string; key: string }) => ({
    'tls.crt': pair.cert,
    'tls.key': pair.key,
    'ca.crt': authority.cert,
  });
  put('demo-server', 'kubernetes.io/tls', leaf(server));
  put('demo-replication', 'kubernetes.io/tls', leaf(replication));
  const app = desiredLogin(facts, 'app', () => 'secret', authority.cert);
  if (app) put(app.name, 'kubernetes.io/basic-auth', app.data);
  return facts;
}

function without(name: string, spec: object = {}): Facts {
  const facts = whole(spec);
  facts.secrets.delete(name);
  return facts;
}

function foreign(facts: Facts, name: string): Facts {
  const own = facts.secrets.get(name)!;
  const { ownerReferences: _, ...metadata } = own.metadata;
  facts.secrets.set(name, { ...own, metadata } as Secret);
  return facts;
}

const cases: { name: string; facts: () => Facts; actions: object[] }[] = [
  {
    name: 'a new cluster: everything',
    facts: () => bareFacts(),
    actions: [
      { do: 'certificates', authority: 'new', leaves: ['server', 'replication'] },
      { do: 'login', which: 'app' },
    ],
  },
  { name: 'a whole one: nothing', facts: () => whole(), actions: [] },
  {
    name: 'a leaf deleted by hand comes back alone',
    facts: () => without('demo-server'),
    actions: [{ do: 'certificates', authority: 'keep', leaves: ['server'] }],
  },
  {
    name: 'a lost authority is made anew, and trusted before it signs what is in use',
    facts: () => without('demo-ca'),
    actions: [{ do: 'certificates', authority: 'new', leaves: [], trust: ['server', 'replication'] }],
  },
  {
    name: 'nothing is renewed 8 days before the end',
    facts: () => ({ ...whole(), now: NOW + 82 * DAY_MS }),
    actions: [],
  },
  {
    name: 'all is renewed 7 days before the end, with the same key',
    facts: () => ({ ...whole(), now: NOW + 83.5 * DAY_MS }),
    actions: [{ do: 'certificates', authority: 'renew', leaves: ['server', 'replication'] }],
  },
  {
    name: "a user's own authority is neither renewed nor replaced",
    facts: () => ({ ...foreign(whole(), 'demo-ca'), now: NOW + 83.5 * DAY_MS }),
    actions: [{ do: 'certificates', authority: 'keep', leaves: ['server', 'replication'] }],
  },
  {
    name: "a user's own server certificate stays",
    facts: () => foreign(without('demo-ca'), 'demo-server'),
    actions: [{ do: 'certificates', authority: 'new', leaves: [], trust: ['replication'] }],
  },
  {
    name: "a user's own application secret is not made",
    facts: () =>
      whole({ bootstrap: { initdb: { database: 'app', owner: 'app', secret: { name: 'mine' } } } }),
    actions: [],
  },
  {
    name: 'a superuser only where access is on',
    facts: () => whole({ enableSuperuserAccess: true }),
    actions: [{ do: 'login', which: 'superuser' }],
  },
];

for (const { name, facts, actions } of cases)
  test(name, () => {
    const given = facts();
    assert.deepEqual([...planCertificates(given), ...planLogins(given)], actions);
  });

test('the superuser secret goes when access is switched off', () => {
  const facts = whole();
  const made = secret(facts, 'demo-superuser', 'kubernetes.io/basic-auth', {
    username: 'postgres',
    password: 'x',
  });
  made.metadata.uid = 'uid-s';
  facts.secrets.set('demo-superuser', made);
  assert.deepEqual(
    planLogins(facts).map((action) => action.do === 'delete' && [action.name, action.uid]),
    [['demo-superuser', 'uid-s']],
  );
});

test('a password that was changed by hand is taken over into the strings', () => {
  const facts = whole();
  const app = facts.secrets.get('demo-app')!;
  app.data!.password = Buffer.from('new:p@ss/w').toString('base64');
  assert.deepEqual(planLogins(facts), [{ do: 'login', which: 'app' }]);
  const desired = desiredLogin(facts, 'app', () => 'unused', authority.cert)!;
  assert.equal(desired.data.password, 'new:p@ss/w');
  assert.match(desired.data.uri!, /^postgresql:\/\/app:new%3Ap%40ss%2Fw@demo-rw\.default\.svc:5432\/app\?/);
  assert.match(
    desired.data.uri!,
    /connect_timeout=5&tcp_user_timeout=5000&target_session_attrs=read-write&sslmode=verify-full$/,
  );
  assert.equal(desired.data.pgpass, '*:5432:app:app:new\\:p@ss/w\n');
  assert.equal(desired.data['ca.crt'], authority.cert);
});

test('secrets the user has to make and has not are named', () => {
  const facts = whole({ enableSuperuserAccess: true, superuserSecret: { name: 'boss' } });
  assert.deepEqual(missingSecrets(facts), ['boss']);
});

test('a secret is stored as base64 and read back', () => {
  const made = secret(bareFacts(), 's', 'Opaque', { key: 'grüße' });
  assert.equal(decoded(made, 'key'), 'grüße');
});
