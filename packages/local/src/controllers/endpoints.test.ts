import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Service } from '@pgherd/kube';
import { endpointsFor } from './endpoints.ts';

const service: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'ns', name: 's', uid: 'u' },
  spec: { ports: [{ port: 5432 }] },
};

function slice(endpoints: EndpointSlice['endpoints']): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'ns', name: 's-1' },
    addressType: 'IPv4',
    endpoints,
    ports: [{ name: '', port: 5432, protocol: 'TCP' }],
  };
}

const at = (ip: string, ready: boolean, terminating = false) => ({
  addresses: [ip],
  conditions: { ready, serving: ready, terminating },
});

test('the older form says which addresses are ready and which are not', () => {
  const ports = [{ port: 5432, protocol: 'TCP' }];
  const cases: [string, EndpointSlice[], object[] | undefined][] = [
    ['nobody', [slice([])], undefined],
    ['one', [slice([at('a', true)])], [{ addresses: [{ ip: 'a' }], ports }]],
    ['one that is not ready', [slice([at('a', false)])], [{ notReadyAddresses: [{ ip: 'a' }], ports }]],
    ['one that ends', [slice([at('a', false, true)])], undefined],
    [
      'some of each',
      [slice([at('a', true), at('b', false)])],
      [{ addresses: [{ ip: 'a' }], notReadyAddresses: [{ ip: 'b' }], ports }],
    ],
  ];
  for (const [what, slices, subsets] of cases)
    assert.deepEqual(endpointsFor(service, slices).subsets, subsets, what);
});
