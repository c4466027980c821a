/** Operations for tables of cases. */
import type { OperationSpec, OperationStatus } from '@pgherd/api';
import type { Facts } from '../cluster/facts.ts';
import type { BaseFacts } from '../operation/handler.ts';
import type { OperationObject } from '../operation/kind.ts';

/** An operation on the cluster `demo` that has begun. */
export function testOperation(
  spec: Omit<OperationSpec, 'cluster'>,
  status: OperationStatus = { phase: 'Running' },
  name = 'op',
): OperationObject {
  return {
    apiVersion: 'pgherd.io/v1',
    kind: 'Operation',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      creationTimestamp: '2026-06-01T11:59:00Z',
      generation: 1,
    },
    spec: { cluster: 'demo', ...spec },
    status,
  } as OperationObject;
}

/** What a handler sees of it. */
export function baseFacts(
  cluster: Facts,
  spec: Omit<OperationSpec, 'cluster'>,
  notes: Record<string, string> = {},
): BaseFacts {
  return { now: cluster.now, operation: testOperation(spec), cluster, notes };
}
