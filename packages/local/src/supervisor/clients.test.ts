import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod, Service } from '@pgherd/kube';
import { spare } from './clients.ts';

const pod = (name: string, node: string, app: string, podIP: string, namespace = 'a'): Pod =>
  ({
    metadata: { name, namespace, labels: { app } },
    spec: {
      nodeName: node,
      containers: [{ name: 'c', image: 'x', ports: [{ name: 'sql', containerPort: 5432 }] }],
    },
    status: { podIP },
  }) as unknown as Pod;
const service = (app: string, targetPort: number | string, namespace = 'a'): Service =>
  ({
    metadata: { name: app, namespace },
    spec: { selector: { app }, ports: [{ port: 5432, targetPort }] },
  }) as unknown as Service;

test('clients are who does not stand behind the same service; only ports of services are kept', () => {
  const pods = [
    pod('db-1', 'n1', 'db', '10.0.1.1'),
    pod('db-2', 'n2', 'db', '10.0.2.1'),
    pod('app', 'n2', 'app', '10.0.2.2'),
    pod('other', 'n3', 'db', '10.0.3.1', 'b'),
    pod('here', 'n1', 'app', '10.0.1.2'),
  ];
  const services = [service('db', 'sql'), service('db', 5432, 'b')];
  assert.deepEqual(spare('n1', pods, services), { addresses: ['10.0.2.2', '10.0.3.1'], ports: [5432] });
  assert.deepEqual(spare('n3', pods, services).addresses, ['10.0.1.1', '10.0.2.1', '10.0.2.2', '10.0.1.2']);
});

test('a node behind no service has no clients to keep', () => {
  assert.deepEqual(spare('n1', [pod('db-1', 'n1', 'db', '10.0.1.1')], []), { addresses: [], ports: [] });
});
