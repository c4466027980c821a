import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '@pgherd/kube';
import { serviceTable } from './services.ts';

const service = (name: string, spec: Service['spec']): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'a' },
  spec,
});

const slice = (of: string, port: object, ...endpoints: [string, boolean?][]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: `${of}-x`, namespace: 'a', labels: { 'kubernetes.io/service-name': of } },
  addressType: 'IPv4',
  ports: [port],
  endpoints: endpoints.map(([ip, ready]) => ({ addresses: [ip], conditions: { ready } })),
});

const db = { name: 'postgres', port: 5432 };

const cases: [string, Service[], EndpointSlice[], string[]][] = [
  [
    'ready addresses of all slices, each once and in order',
    [service('rw', { clusterIP: '10.96.0.20', ports: [db] })],
    [
      slice('rw', db, ['10.244.2.9', true], ['10.244.1.3', false]),
      slice('rw', db, ['10.244.1.2'], ['10.244.2.9']),
    ],
    ['a/rw tcp 10.96.0.20:5432 -> 10.244.1.2:5432 10.244.2.9:5432'],
  ],
  [
    'the target port is the slice of that name',
    [service('web', { clusterIP: '10.96.0.21', ports: [{ name: 'http', port: 80, targetPort: 8080 }] })],
    [
      slice('web', { name: 'http', port: 8080 }, ['10.244.1.2']),
      slice('web', { name: 'x', port: 1 }, ['10.244.1.2']),
    ],
    ['a/web tcp 10.96.0.21:80 -> 10.244.1.2:8080'],
  ],
  [
    'a service without endpoints is there, to be refused; headless and external ones are not',
    [
      service('none', { clusterIP: '10.96.0.22', ports: [db] }),
      service('headless', { clusterIP: 'None', ports: [db] }),
      service('ext', { type: 'ExternalName', externalName: 'example.org' }),
    ],
    [slice('other', db, ['10.244.1.2'])],
    ['a/none tcp 10.96.0.22:5432 -> '],
  ],
];

for (const [title, services, slices, expected] of cases) {
  test(title, () => {
    const shown = serviceTable(services, slices).map(
      (row) => `${row.service} ${row.protocol} ${row.clusterIP}:${row.port} -> ${row.backends.join(' ')}`,
    );
    assert.deepEqual(shown, expected);
  });
}
