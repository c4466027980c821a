/** When an instance may be promoted although no operator answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lossText, refusal } from './accept-loss.ts';
import type { Observed } from './status/observe.ts';

function observed(
  changed: {
    lease?: object | undefined;
    annotations?: object;
    role?: string;
    target?: object;
    third?: object;
  } = {},
): Observed {
  const { role, target = { report: { role: 'replica', receivedLsn: '0/1000' } }, third } = changed;
  const lease = {
    holder: 'uid-1/1',
    epoch: 3,
    leader: { name: 'demo-1' },
    position: '0/1080',
    members: [],
    rules: [],
  };
  return {
    cluster: {
      metadata: { name: 'demo', annotations: changed.annotations ?? {} },
      status: { instanceNames: ['demo-1', 'demo-2'] },
    },
    lease: 'lease' in changed ? changed.lease : lease,
    answers: new Map<string, object>([
      ...(role ? ([['demo-1', { report: { role } }]] as const) : []),
      ['demo-2', target],
      ...(third ? ([['demo-3', { report: third }]] as const) : []),
    ]),
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
  [
    'one that does not answer',
    observed({ target: { problem: 'no route' } }),
    'demo-2',
    /demo-2 does not answer: no route/,
  ],
  ['no Lease', observed({ lease: undefined }), 'demo-2', /its Lease cannot be read/],
];

for (const [what, facts, target, says] of cases)
  test(`a promotion without an operator: ${what}`, () => {
    const why = refusal(facts, target);
    if (says) assert.match(why ?? '', says);
    else assert.equal(why, undefined);
  });

const losses: [string, Observed, string][] = [
  [
    'less than the last primary',
    observed(),
    'demo-2 has WAL up to 0/1000; demo-1 had 128 bytes more when it last said so',
  ],
  [
    'as much, as far as is known',
    observed({ target: { report: { receivedLsn: '0/1080' } } }),
    'demo-2 has WAL up to 0/1080; demo-1 had not said that it had more, and may have',
  ],
  [
    'less than another that answers',
    observed({ third: { receivedLsn: '0/1040' } }),
    'demo-2 has WAL up to 0/1000; demo-1 had 128 bytes more when it last said so; demo-3 answers and has 64 bytes more: better promote that',
  ],
  ['nobody knows how much', observed({ target: { report: {} } }), 'how much WAL demo-2 has is not known'],
];

for (const [what, facts, says] of losses)
  test(`what would be lost: it has ${what}`, () => assert.equal(lossText(facts, 'demo-2'), says));
