import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amount, environmentOf, expand, type ObjectReader } from './env.ts';
import { container, podOf } from './fixtures.ts';

const place = { podIP: '10.244.1.2', hostIP: '10.243.1.2' };
const reader: ObjectReader = {
  secret: async (name) =>
    name === 's'
      ? {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name },
          data: { key: Buffer.from('hidden').toString('base64') },
        }
      : undefined,
  configMap: async () => undefined,
};

test('references to earlier variables', () => {
  const env = { A: '1' };
  assert.equal(expand('x$(A)y $$(A) $(B) $', env), 'x1y $(A) $(B) $');
});

test('amounts', () => {
  assert.deepEqual(['1Gi', '500m', '2', '1k', 'x'].map(amount), [2 ** 30, 0.5, 2, 1000, 0]);
});

test('fields, secrets and references of the pod over what the image says', async () => {
  const c = container('c', {
    envFrom: [{ prefix: 'P_', secretRef: { name: 's' } }],
    env: [
      { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
      { name: 'ROLE', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a.b/role']" } } },
      { name: 'SECRET', valueFrom: { secretKeyRef: { name: 's', key: 'key' } } },
      { name: 'NONE', valueFrom: { secretKeyRef: { name: 'none', key: 'key', optional: true } } },
      { name: 'BOTH', value: '$(NAME)@$(IP)' },
    ],
  });
  const pod = podOf({ containers: [c] }, { labels: { 'a.b/role': 'primary' } });
  const env = await environmentOf(pod, c, place, { PATH: '/x:/bin' }, reader);
  assert.deepEqual(
    ['NAME', 'IP', 'ROLE', 'SECRET', 'P_key', 'NONE', 'BOTH', 'PATH', 'HOSTNAME'].map((name) => env[name]),
    ['p', '10.244.1.2', 'primary', 'hidden', 'hidden', undefined, 'p@10.244.1.2', '/x:/bin', 'p'],
  );
});

test('a missing secret is named', async () => {
  const c = container('c', { env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }] });
  await assert.rejects(
    environmentOf(podOf({ containers: [c] }), c, place, {}, reader),
    /secret "none" not found/,
  );
});
