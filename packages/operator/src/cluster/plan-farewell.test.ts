import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATION_HIBERNATION, ANNOTATION_WITHOUT_LAST_WAL, FINALIZER_LAST_WAL } from '@pgherd/api';
import { healthyFacts, instance } from '../testing/facts.ts';
import type { Facts } from './facts.ts';
import { planFarewell, planHold, release } from './plan-farewell.ts';

const SPEC = { backup: { repositories: [{ name: 'local', volume: { size: '1Gi' } }] } };
const RECOVERABLE = { firstRecoverabilityPoint: '2026-06-01T11:00:00Z' };

function facts(o: {
  held?: boolean;
  deletedAgoMs?: number;
  annotations?: Record<string, string>;
  spec?: object;
  status?: object;
}): Facts {
  const all = healthyFacts(o.spec ?? SPEC, 3, o.status ?? RECOVERABLE);
  const { metadata } = all.cluster;
  metadata.finalizers = ['other', ...(o.held ? [FINALIZER_LAST_WAL] : [])];
  if (o.annotations) metadata.annotations = o.annotations;
  if (o.deletedAgoMs !== undefined)
    metadata.deletionTimestamp = new Date(all.now - o.deletedAgoMs).toISOString();
  return all;
}

const HOLDS: [string, Parameters<typeof facts>[0], string[] | undefined][] = [
  ['put on once there is a backup', {}, ['other', FINALIZER_LAST_WAL]],
  ['not before', { status: {} }, undefined],
  ['stays', { held: true }, undefined],
  ['comes off where nothing is backed up any more', { held: true, spec: {} }, ['other']],
  [
    'and where nobody wants it',
    { held: true, annotations: { [ANNOTATION_WITHOUT_LAST_WAL]: '' } },
    ['other'],
  ],
];
for (const [what, given, expected] of HOLDS)
  test(`the finalizer: ${what}`, () => {
    const [action] = planHold(facts(given));
    const body = action?.do === 'patch' ? action.body : undefined;
    assert.deepEqual((body as { metadata?: { finalizers?: string[] } })?.metadata?.finalizers, expected);
  });

test('a cluster that is deleted archives its last WAL first', () => {
  const step = planFarewell(facts({ held: true, deletedAgoMs: 1_000 }));
  assert.equal(step.do === 'seal' && step.primary.name, 'demo-1');
  assert.equal(step.do === 'seal' && step.leftMs, 89_000);
});

const GOES: [string, Parameters<typeof facts>[0], RegExp | undefined][] = [
  ['after the deadline', { deletedAgoMs: 91_000 }, /within 90 s/],
  ['when told so', { deletedAgoMs: 0, annotations: { [ANNOTATION_WITHOUT_LAST_WAL]: 'true' } }, undefined],
];
for (const [what, given, expected] of GOES)
  test(`a cluster that is deleted goes ${what}`, () => {
    const step = planFarewell(facts({ held: true, ...given }));
    assert.equal(step.do, 'release');
    if (expected) assert.match((step as { why?: string }).why ?? '', expected);
    else assert.equal((step as { why?: string }).why, undefined);
  });

test('without an instance it goes, and says so; one that sleeps has nothing to say', () => {
  const gone = (annotations?: Record<string, string>) => {
    const all = facts({ held: true, deletedAgoMs: 0, ...(annotations ? { annotations } : {}) });
    for (const each of all.instances) delete each.pod;
    return planFarewell(all);
  };
  assert.match((gone() as { why?: string }).why ?? '', /no instance runs/);
  assert.deepEqual(gone({ [ANNOTATION_HIBERNATION]: 'on' }), { do: 'release' });
});

test('a primary that is not known yet is waited for, as long as the last WAL may take', () => {
  const silent = (deletedAgoMs: number) => {
    const all = facts({ held: true, deletedAgoMs });
    instance(all, 'demo-1').report = undefined;
    return planFarewell(all).do;
  };
  assert.equal(silent(1_000), 'wait');
  assert.equal(silent(91_000), 'release');
});

test('in a first recovery nothing was ever committed: it goes, unless somebody leads already', () => {
  const recovering = (holder: string | null) => {
    const status = {
      ...RECOVERABLE,
      restoration: { id: 'bootstrap', stage: 'restoring', instance: 'demo-1' },
    };
    const all = facts({ held: true, deletedAgoMs: 1_000, status });
    all.lease!.holder = holder;
    instance(all, 'demo-1').report = undefined;
    return planFarewell(all);
  };
  assert.deepEqual(recovering(null), { do: 'release' });
  assert.deepEqual(recovering('uid-demo-1/1'), { do: 'wait' });
});

test('what others hold is left alone', () => {
  const { cluster } = facts({ held: true, deletedAgoMs: 0 });
  assert.deepEqual((release(cluster).body as { metadata: { finalizers: string[] } }).metadata.finalizers, [
    'other',
  ]);
  assert.deepEqual(planFarewell(facts({ deletedAgoMs: 0 })), { do: 'nothing' });
  assert.deepEqual(planFarewell(facts({ held: true })), { do: 'nothing' });
});
