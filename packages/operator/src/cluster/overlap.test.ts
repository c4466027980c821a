/** One authority takes the place of another while instances learn of it one after the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateMark, REPLICATION_USER } from '@pgherd/api';
import { type Client, type Secret, silent } from '@pgherd/kube';
import {
  certificatesIn,
  createAuthority,
  createLeaf,
  isTrusted,
  type KeyPair,
  renewAuthority,
} from '../pki.ts';
import { healthyFacts } from '../testing/facts.ts';
import { act } from './act.ts';
import type { ClusterCaches } from './caches.ts';
import type { Facts } from './facts.ts';
import { planCertificates } from './plan-certificates.ts';
import { planLogins } from './plan-secrets.ts';
import { decoded, encoded } from './specs/secrets.ts';

/** What one instance has read of the secrets. */
interface Held {
  server: Secret;
  replication: Secret;
}

class World {
  facts: Facts;
  readonly held = new Map<string, Held>();
  /** What an application was given, possibly long ago. */
  clientTrusts: string[] = [];
  steps = 0;

  constructor(spec: object = {}) {
    this.facts = healthyFacts(spec);
  }

  text(secret: string, key: string): string {
    return decoded(this.facts.secrets.get(secret), key) ?? '';
  }

  put(name: string, data: Record<string, string>): void {
    const known = this.facts.secrets.get(name);
    const metadata = known?.metadata ?? { name, namespace: 'default' };
    this.store({ apiVersion: 'v1', kind: 'Secret', metadata, data: { ...known?.data, ...encoded(data) } });
  }

  /** One look of the operator; whether it did anything. */
  async look(): Promise<boolean> {
    this.facts.now += 4_000;
    const actions = [...planCertificates(this.facts), ...planLogins(this.facts)];
    if (actions.length === 0) return false;
    const store = async (_: unknown, secret: Secret) => this.store(secret);
    const client = { create: store, update: store } as unknown as Client;
    const context = {
      client,
      caches: {} as ClusterCaches,
      memory: { uid: '', highestSerial: 0, deleted: new Set<string>(), asked: new Set<string>() },
      log: silent,
      signal: new AbortController().signal,
    };
    const failures = await act(context, this.facts, { actions, intent: { what: 'steady' } });
    assert.deepEqual(failures, []);
    this.steps++;
    return true;
  }

  private store(secret: Secret): Secret {
    this.facts.secrets.set(secret.metadata.name, structuredClone(secret));
    return secret;
  }

  /** The instances take over what there is one after the other; nobody may be shut out meanwhile. */
  adopt(who = this.facts.instances.map(({ name }) => name)): void {
    const server = this.facts.secrets.get('demo-server')!;
    const replication = this.facts.secrets.get('demo-replication')!;
    for (const name of who) {
      this.held.set(name, { server, replication });
      const mark = (secret: Secret) =>
        certificateMark(decoded(secret, 'ca.crt')!, decoded(secret, 'tls.crt')!);
      const instance = this.facts.instances.find((each) => each.name === name)!;
      const certificates = { server: mark(server), replication: mark(replication) };
      instance.report = { ...instance.report!, certificates };
      this.check();
    }
  }

  check(): void {
    for (const [a, shown] of this.held)
      for (const [b, knows] of this.held) {
        const say = `step ${this.steps}: ${b} does not know`;
        assert.ok(
          isTrusted(decoded(shown.server, 'tls.crt')!, decoded(knows.server, 'ca.crt')!),
          `${say} the server ${a}`,
        );
        assert.ok(
          isTrusted(decoded(shown.replication, 'tls.crt')!, decoded(knows.replication, 'ca.crt')!),
          `${say} the client ${a}`,
        );
      }
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      assert.ok(this.steps < 20, 'it comes to an end');
      quiet = (await this.look()) ? 0 : quiet + 1;
      if (this.facts.secrets.has('demo-server') && this.facts.secrets.has('demo-replication')) this.adopt();
    }
  }
}

const span = () => ({ now: new Date(), days: 90 });

test('our own authority is lost: a new one takes its place, and nobody is shut out', async () => {
  const world = new World();
  world.facts.now = Date.now();
  await world.settle();
  const before = world.text('demo-ca', 'ca.crt');
  assert.equal(certificatesIn(world.text('demo-server', 'ca.crt')).length, 1);
  world.steps = 0;
  world.facts.secrets.delete('demo-ca');
  await world.look();
  const after = world.text('demo-ca', 'ca.crt');
  assert.notEqual(after, before);
  // Trusted first, by instances and clients.
  for (const name of ['demo-server', 'demo-replication'])
    assert.deepEqual(certificatesIn(world.text(name, 'ca.crt')), [after.trim(), before.trim()], name);
  const old = world.text('demo-server', 'tls.crt');
  assert.ok(isTrusted(old, before));
  await world.look();
  assert.equal(world.text('demo-server', 'tls.crt'), old, 'nobody has taken the new one over yet');
  assert.equal(certificatesIn(world.text('demo-app', 'ca.crt')).length, 2);
  world.adopt(['demo-2']);
  await world.look();
  assert.equal(world.text('demo-server', 'tls.crt'), old, 'not all have');
  await world.settle();
  for (const name of ['demo-server', 'demo-replication', 'demo-app'])
    assert.equal(world.text(name, 'ca.crt'), after, name);
  assert.ok(isTrusted(world.text('demo-server', 'tls.crt'), after));
  assert.equal(world.steps <= 7, true, `${world.steps} steps`);
});

test('one that does not answer holds it up for ten minutes at most', async () => {
  const world = new World();
  world.facts.now = Date.now();
  await world.settle();
  world.facts.secrets.delete('demo-ca');
  await world.look();
  delete world.facts.instances[2]!.report;
  world.held.delete('demo-3');
  world.adopt(['demo-1', 'demo-2']);
  while (await world.look()) world.adopt(['demo-1', 'demo-2']);
  assert.equal(certificatesIn(world.text('demo-server', 'ca.crt')).length, 2);
  world.facts.now += 600_000;
  await world.look();
  world.adopt(['demo-1', 'demo-2']);
  world.facts.now += 600_000;
  await world.look();
  await world.look();
  assert.equal(world.text('demo-server', 'ca.crt'), world.text('demo-ca', 'ca.crt'));
});

test('a renewed authority has the same key, and needs no overlap', async () => {
  const world = new World();
  world.facts.now = Date.now();
  await world.settle();
  const [cert, key] = [world.text('demo-ca', 'ca.crt'), world.text('demo-ca', 'ca.key')];
  world.put('demo-ca', { 'ca.crt': (await renewAuthority({ cert, key }, span())).cert });
  await world.settle();
  assert.equal(world.text('demo-server', 'ca.crt'), world.text('demo-ca', 'ca.crt'));
});

const DNS = ['demo-rw', 'demo-rw.default', 'demo-rw.default.svc'];
const tls = ({ cert, key }: KeyPair) => ({ 'tls.crt': cert, 'tls.key': key });
const server = (authority: KeyPair) =>
  createLeaf(authority, { commonName: 'db', dnsNames: DNS, usage: 'server', ...span() });

test("a user's authority takes the place of ours, and another of his that of his first, in any order", async () => {
  const [first, second] = await Promise.all(
    ['first', 'second'].map((commonName) => createAuthority({ commonName, ...span() })),
  );
  const world = new World();
  world.facts.now = Date.now();
  await world.settle();
  world.put('corp', { 'ca.crt': first!.cert });
  world.put('corp-tls', tls(await server(first!)));
  world.facts.spec = {
    ...world.facts.spec,
    certificates: { ...world.facts.spec.certificates, serverCASecret: 'corp', serverTLSSecret: 'corp-tls' },
  };
  await world.settle();
  assert.equal(world.text('demo-server', 'tls.crt'), world.text('corp-tls', 'tls.crt'));
  assert.equal(world.text('demo-app', 'ca.crt').trim(), first!.cert.trim());
  const shown = world.text('demo-server', 'tls.crt');
  // His authority first, its certificate later: the last good one stays meanwhile.
  world.put('corp', { 'ca.crt': second!.cert });
  await world.settle();
  assert.equal(world.text('demo-server', 'tls.crt'), shown);
  assert.ok(isTrusted(shown, world.text('demo-app', 'ca.crt')));
  world.put('corp-tls', tls(await server(second!)));
  await world.settle();
  assert.ok(isTrusted(world.text('demo-server', 'tls.crt'), second!.cert));
  assert.equal(world.text('demo-app', 'ca.crt').trim(), second!.cert.trim());
  assert.ok(!isTrusted(shown, world.text('demo-server', 'ca.crt')), 'the first is forgotten');
});

test("a user's client authority is replaced", async () => {
  const [first, second] = await Promise.all(
    ['first', 'second'].map((commonName) => createAuthority({ commonName, ...span() })),
  );
  const world = new World({ certificates: { clientCASecret: 'corp' } });
  world.facts.now = Date.now();
  world.put('corp', { 'ca.crt': first!.cert, 'ca.key': first!.key });
  await world.settle();
  assert.match(
    new (await import('node:crypto')).X509Certificate(world.text('demo-replication', 'tls.crt')).subject,
    new RegExp(REPLICATION_USER),
  );
  world.put('corp', { 'ca.crt': second!.cert, 'ca.key': second!.key });
  await world.settle();
  assert.ok(isTrusted(world.text('demo-replication', 'tls.crt'), second!.cert));
});

test('a chain of authorities and a list of them are understood', async () => {
  const [root, other] = await Promise.all(
    ['root', 'other'].map((commonName) => createAuthority({ commonName, ...span() })),
  );
  const leaf = await server(root!);
  assert.ok(isTrusted(leaf.cert, `${other!.cert}${root!.cert}`));
  assert.ok(!isTrusted(leaf.cert, other!.cert));
  assert.ok(!isTrusted('nothing', root!.cert));
  assert.ok(!isTrusted(leaf.cert, ''));
});
