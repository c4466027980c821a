import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease } from '@pgherd/kube';
import { awaySince } from './operator-lease.ts';

const RENEWED = '2026-06-01T12:00:00.123456Z';
const lease = (spec: Lease['spec']) => ({ spec }) as Lease;
const after = (ms: number) => Date.parse(RENEWED) + ms;

test('an operator that renews its Lease works; one that has not for long, or has released it, does not', () => {
  const held = { holderIdentity: 'pod', renewTime: RENEWED, leaseDurationSeconds: 10 };
  assert.equal(awaySince(lease(held), after(3_000)), undefined);
  assert.equal(awaySince(lease(held), after(19_000)), undefined);
  assert.equal(awaySince(lease(held), after(21_000)), '2026-06-01T12:00:00Z');
  assert.equal(awaySince(lease({ ...held, holderIdentity: '' }), after(1_000)), '2026-06-01T12:00:00Z');
  assert.equal(awaySince(lease({}), after(0)), undefined);
});
