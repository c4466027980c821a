/** Which wishes on a Cluster have lost their Operation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterObject } from '../cluster/kind.ts';
import type { OperationObject } from './kind.ts';
import { orphansOf } from './orphans.ts';

const UID = '0a1b2c3d-0000-4000-8000-000000000001';

function cluster(annotations: Record<string, object>, status: object = {}): ClusterObject {
  const texts = Object.entries(annotations).map(([key, value]) => [
    `pgherd.io/${key}`,
    JSON.stringify(value),
  ]);
  return { metadata: { name: 'demo', annotations: Object.fromEntries(texts) }, status } as ClusterObject;
}

const operation = (phase: string, metadata: object = {}) =>
  ({ metadata: { uid: UID, ...metadata }, spec: {}, status: { phase } }) as unknown as OperationObject;

const asked = cluster({ switchover: { id: UID, from: 'demo-1', to: 'demo-2' } });

const mark = { id: UID, operation: 'back', source: { from: 'repository' } };
const restore = (stage?: string, more: object = {}) =>
  cluster({ restore: { ...mark, ...more } }, stage ? { restoration: { id: UID, stage } } : {});
const back = {
  'pgherd.io/restore': JSON.stringify({
    id: UID,
    operation: 'back',
    back: true,
    keepOldVolumes: false,
    source: mark.source,
  }),
};

const cases: [string, ClusterObject, OperationObject[], Record<string, string | null> | undefined][] = [
  ['its Operation runs', asked, [operation('Running')], undefined],
  ['its Operation has not begun', asked, [operation('Pending')], undefined],
  ['its Operation is gone', asked, [], { 'pgherd.io/switchover': null }],
  [
    'its Operation is going',
    asked,
    [operation('Running', { deletionTimestamp: 'x' })],
    { 'pgherd.io/switchover': null },
  ],
  ['its Operation has ended', asked, [operation('Failed')], { 'pgherd.io/switchover': null }],
  [
    'a promotion',
    cluster({ promote: { id: UID, to: 'demo-2', epoch: 3 } }),
    [],
    { 'pgherd.io/promote': null },
  ],
  [
    "the operator's own wish",
    cluster({ switchover: { id: 'cordon-node-1-3', from: 'demo-1' } }),
    [],
    undefined,
  ],
  ['no wish', cluster({}), [], undefined],
  ['a restore that runs', restore('restoring'), [operation('Running')], undefined],
  ['a restore that has not begun', restore(), [], { 'pgherd.io/restore': null }],
  ['a restore while the instances stop', restore('stopping'), [], back],
  ['a restore that is not there yet', restore('restoring'), [], back],
  ['a restore that is taken back already', restore('restoring', { back: true }), [], {}],
  ['a restore that is being taken back', restore('returning', { back: true }), [], {}],
  ['a restore that serves again', restore('rebuilding'), [], {}],
  ['a restore that is done', restore('done'), [], { 'pgherd.io/restore': null }],
  ['a restore that was taken back', restore('returned'), [], { 'pgherd.io/restore': null }],
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

test('a restore that is called off is named; its end is not', () => {
  assert.equal(
    orphansOf(restore('restoring'), [])?.message,
    'the restore back is called off: its Operation is gone',
  );
  assert.equal(orphansOf(restore('done'), [])?.message, '');
});
