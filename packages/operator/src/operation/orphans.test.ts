/** Which wishes on a Cluster have lost their Operation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterObject } from '../cluster/kind.ts';
import type { OperationObject } from './kind.ts';
import { orphansOf } from './orphans.ts';

const UID = '0a1b2c3d-0000-4000-8000-000000000001';

function cluster(annotations: Record<string, object>): ClusterObject {
  const texts = Object.entries(annotations).map(([key, value]) => [
    `pgherd.io/${key}`,
    JSON.stringify(value),
  ]);
  return { metadata: { name: 'demo', annotations: Object.fromEntries(texts) } } as ClusterObject;
}

const operation = (phase: string, metadata: object = {}) =>
  ({ metadata: { uid: UID, ...metadata }, spec: {}, status: { phase } }) as unknown as OperationObject;

const asked = cluster({ switchover: { id: UID, from: 'demo-1', to: 'demo-2' } });

const cases: [string, ClusterObject, OperationObject[], string[] | undefined][] = [
  ['its Operation runs', asked, [operation('Running')], undefined],
  ['its Operation has not begun', asked, [operation('Pending')], undefined],
  ['its Operation is gone', asked, [], ['pgherd.io/switchover']],
  [
    'its Operation is going',
    asked,
    [operation('Running', { deletionTimestamp: 'x' })],
    ['pgherd.io/switchover'],
  ],
  ['its Operation has ended', asked, [operation('Failed')], ['pgherd.io/switchover']],
  ['a promotion', cluster({ promote: { id: UID, to: 'demo-2', epoch: 3 } }), [], ['pgherd.io/promote']],
  [
    "the operator's own wish",
    cluster({ switchover: { id: 'cordon-node-1-3', from: 'demo-1' } }),
    [],
    undefined,
  ],
  ['no wish', cluster({}), [], undefined],
];

for (const [what, marked, operations, expected] of cases)
  test(`a wish on the Cluster: ${what}`, () => {
    assert.deepEqual(orphansOf(marked, operations)?.annotations, expected);
  });

test('what is called off is named', () => {
  assert.equal(
    orphansOf(asked, [])?.message,
    'the switchover from demo-1 to demo-2 is called off: its Operation is gone',
  );
});
