/** When an instance may be promoted although no operator answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal } from './accept-loss.ts';
import type { Observed } from './status/observe.ts';

function observed(
  changed: { lease?: object | undefined; annotations?: object; role?: string } = {},
): Observed {
  const lease = { holder: 'uid-1/1', epoch: 3, leader: { name: 'demo-1' }, members: [], rules: [] };
  return {
    cluster: {
      metadata: { name: 'demo', annotations: changed.annotations ?? {} },
      status: { instanceNames: ['demo-1', 'demo-2'] },
    },
    lease: 'lease' in changed ? changed.lease : lease,
    answers: new Map(changed.role ? [['demo-1', { report: { role: changed.role } }]] : []),
    operations: [],
    pods: [],
  } as unknown as Observed;
}

const cases: [string, Observed, string, RegExp | undefined][] = [
  ['the primary does not answer', observed(), 'demo-2', undefined],
  ['the last primary answers, but is none any more', observed({ role: 'replica' }), 'demo-2', undefined],
  ['the primary answers', observed({ role: 'primary' }), 'demo-2', /demo-1 is its primary and answers/],
  ['another name', observed(), 'demo-9', /no instance demo-9; it has: demo-1, demo-2/],
  [
    'a fenced one',
    observed({ annotations: { 'pgherd.io/fenced': '["demo-2"]' } }),
    'demo-2',
    /demo-2 is fenced/,
  ],
  ['maintenance', observed({ annotations: { 'pgherd.io/maintenance': 'on' } }), 'demo-2', /in maintenance/],
  ['no Lease', observed({ lease: undefined }), 'demo-2', /its Lease cannot be read/],
];

for (const [what, facts, target, says] of cases)
  test(`a promotion without an operator: ${what}`, () => {
    const why = refusal(facts, target);
    if (says) assert.match(why ?? '', says);
    else assert.equal(why, undefined);
  });
