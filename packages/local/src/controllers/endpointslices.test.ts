import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EndpointSlice, Pod, Service } from '@pgherd/kube';
import { planSlices, podMatters } from './endpointslices.ts';

function service(over: Partial<Service['spec']> = {}): Service {
  const metadata = { namespace: 'ns', name: 's', uid: 'u', labels: { a: 'b' } };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: { x: 'y' }, ports: [{ port: 5432 }], ...over },
  };
}

function pod(
  name: string,
  over: Partial<Pod['status']> = {},
  more: Partial<Pod['metadata']> = {},
  port = 5432,
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'ns', name, uid: name, ...more },
    spec: { nodeName: 'n', containers: [{ name: 'c', ports: [{ name: 'pg', containerPort: port }] }] },
    status: { podIP: `ip-${name}`, conditions: [{ type: 'Ready', status: 'True' }], ...over },
  };
}

const unready = { conditions: [{ type: 'Ready', status: 'False' }] };
const dying = { deletionTimestamp: 'now' };
const conditions = (ready: boolean, serving = ready, terminating = false) => ({
  ready,
  serving,
  terminating,
});

test('what an endpoint says of its pod', () => {
  const cases: [string, Service, Pod, object | undefined][] = [
    ['ready', service(), pod('p'), conditions(true)],
    ['not ready', service(), pod('p', unready), conditions(false)],
    [
      'published all the same',
      service({ publishNotReadyAddresses: true }),
      pod('p', unready),
      conditions(true),
    ],
    ['terminating but serving', service(), pod('p', {}, dying), conditions(false, true, true)],
    [
      'terminating and published',
      service({ publishNotReadyAddresses: true }),
      pod('p', unready, dying),
      conditions(true, true, true),
    ],
    ['no address yet', service(), pod('p', { podIP: undefined }), undefined],
    ['finished', service(), pod('p', { phase: 'Failed' }), undefined],
  ];
  for (const [name, wanted, one, expected] of cases) {
    const { create } = planSlices(wanted, [one], []);
    assert.equal(create.length, 1, name);
    assert.deepEqual(create[0]!.endpoints[0]?.conditions, expected, name);
  }
});

test('only differences are written', () => {
  const stored = planSlices(service(), [pod('a'), pod('b')], []).create.map((slice) => ({
    ...slice,
    metadata: { ...slice.metadata, resourceVersion: '1' },
  }));
  const nothing = { create: [], update: [], remove: [] };
  assert.deepEqual(planSlices(service(), [pod('b'), pod('a')], stored), nothing, 'whatever the order');
  const { update } = planSlices(service(), [pod('a')], stored);
  assert.equal(update[0]!.metadata.resourceVersion, '1');
  assert.equal(update[0]!.endpoints.length, 1);
  const empty = planSlices(service(), [], stored);
  assert.equal(empty.update.length, 1, 'the slice stays, empty: the next address is then an update');
  assert.equal(empty.remove.length, 0);
});

test('pods that name their port differently get slices of their own', () => {
  const named = service({ ports: [{ name: 'db', port: 1, targetPort: 'pg' }] });
  const { create } = planSlices(named, [pod('a'), pod('b'), pod('c', {}, {}, 6000)], []);
  assert.deepEqual(
    create.map(({ ports, endpoints }) => [ports![0]!.port, endpoints.length]),
    [
      [5432, 2],
      [6000, 1],
    ],
  );
  const { remove } = planSlices(named, [pod('a')], create as EndpointSlice[]);
  assert.equal(remove.length, 1);
});

test('which changes of a pod matter', () => {
  assert.ok(
    !podMatters(pod('p', { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: 'x' }] }), pod('p')),
  );
  assert.ok(podMatters(pod('p', unready), pod('p')));
  assert.ok(podMatters(pod('p', {}, dying), pod('p')));
  assert.ok(podMatters(pod('p', {}, { labels: { x: 'z' } }), pod('p')));
  assert.ok(podMatters(undefined, pod('p')));
});
