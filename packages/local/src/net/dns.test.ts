import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '@pgherd/kube';
import type { Packet, RecordType } from 'dns-packet';
import { answer, type DnsSource } from './dns.ts';

const services: Record<string, Service['spec']> = {
  'app/rw': { clusterIP: '10.96.0.20', ports: [{ name: 'postgres', port: 5432 }] },
  'app/headless': { clusterIP: 'None', ports: [] },
  'app/ext': { type: 'ExternalName', externalName: 'db.example.org' },
};

const slice: EndpointSlice = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'x', namespace: 'app' },
  addressType: 'IPv4',
  endpoints: [
    { addresses: ['10.244.1.2'], conditions: { ready: true }, hostname: 'one' },
    { addresses: ['10.244.2.2'], conditions: { ready: false } },
  ],
};

const source: DnsSource = {
  service(namespace, name) {
    const spec = services[`${namespace}/${name}`];
    return spec && { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
  },
  slices: () => [slice],
};

const cases: [string, string, RecordType, string][] = [
  ['a service', 'rw.app.svc.cluster.local', 'A', '10.96.0.20'],
  ['any case', 'RW.app.svc.Cluster.local', 'A', '10.96.0.20'],
  ['a service has no IPv6 address, but exists', 'rw.app.svc.cluster.local', 'AAAA', ''],
  ['a headless service: ready pods', 'headless.app.svc.cluster.local', 'A', '10.244.1.2'],
  ['a pod of it by host name', 'one.headless.app.svc.cluster.local', 'A', '10.244.1.2'],
  ['a pod by address', '10-244-1-2.app.pod.cluster.local', 'A', '10.244.1.2'],
  ['an external name', 'ext.app.svc.cluster.local', 'A', 'db.example.org'],
  ['a named port', '_postgres._tcp.rw.app.svc.cluster.local', 'SRV', 'rw.app.svc.cluster.local:5432'],
  ['no such service', 'rw.other.svc.cluster.local', 'A', 'NXDOMAIN'],
  ['no such host', 'two.headless.app.svc.cluster.local', 'A', 'NXDOMAIN'],
  ['outside the cluster', 'example.org', 'A', 'NXDOMAIN'],
];

function shown(packet: Packet | undefined): string {
  if (((packet?.flags ?? 0) & 15) === 3) return 'NXDOMAIN';
  return (packet?.answers ?? [])
    .map((entry) => {
      if (entry.type === 'SRV') return `${entry.data.target}:${entry.data.port}`;
      return 'data' in entry ? String(entry.data) : '';
    })
    .join(' ');
}

for (const [title, name, type, expected] of cases) {
  test(title, () => {
    const query: Packet = { type: 'query', id: 7, flags: 0x100, questions: [{ type, name }] };
    const reply = answer(query, source);
    assert.equal(shown(reply), expected);
    assert.equal(reply?.id, 7);
  });
}
