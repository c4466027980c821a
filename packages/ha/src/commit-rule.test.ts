import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ASYNCHRONOUS,
  compareNames,
  fulfilledAt,
  quorumOf,
  ruleText,
  wantedRule,
  withRule,
} from './commit-rule.ts';
import { formatLsn, parseLsn } from './lsn.ts';
import { ANY_1, row, settings } from './testing.ts';
import type { CommitRule, Settings } from './types.ts';

const members = [3, 1, 10, 2].map((n) => ({ name: `demo-${n}`, incarnation: `inc-${n}` }));
const sync = (changed: Partial<NonNullable<Settings['sync']>> = {}) =>
  settings({ sync: { method: 'any', number: 1, required: true, ...changed } });

const wanted: [string, Settings, string[], CommitRule][] = [
  ['none', settings({ sync: undefined }), ['demo-2'], ASYNCHRONOUS],
  [
    'required names every other member, streaming or not',
    sync(),
    [],
    { method: 'any', number: 1, names: ['demo-2', 'demo-3', 'demo-10'], required: true },
  ],
  [
    'no more names than allowed',
    sync({ maxNames: 2 }),
    [],
    { method: 'any', number: 1, names: ['demo-2', 'demo-3'], required: true },
  ],
  [
    'preferred names who streams',
    sync({ required: false }),
    ['demo-3'],
    { method: 'any', number: 1, names: ['demo-3'], required: false },
  ],
  [
    'preferred lowers the number',
    sync({ required: false, number: 2 }),
    ['demo-3'],
    { method: 'any', number: 1, names: ['demo-3'], required: false },
  ],
  ['preferred without standbys waits for nobody', sync({ required: false }), [], ASYNCHRONOUS],
  ['preferred: one that joins is no name', sync({ required: false }), ['demo-3.joining'], ASYNCHRONOUS],
  [
    'first keeps the order of the numbers',
    sync({ method: 'first' }),
    [],
    { method: 'first', number: 1, names: ['demo-2', 'demo-3', 'demo-10'], required: true },
  ],
];
for (const [name, wishes, streaming, expected] of wanted)
  test(`wantedRule: ${name}`, () => {
    const rows = streaming.map((each) => row(each));
    assert.deepEqual(wantedRule(wishes, 'demo-1', members, rows), expected);
  });

const raised: [string, number, CommitRule[], number, number][] = [
  ['nothing is recorded: as asked', 2, [], 1, 2],
  ['a raise waits for the members it needs', 3, [ANY_1], 1, 1],
  ['and rises with them', 3, [ANY_1], 2, 2],
  ['up to what is asked', 2, [ANY_1], 3, 2],
  ['switched on without a member: commits go on until there is one', 1, [ASYNCHRONOUS], 0, 0],
  ['members that were lost are waited for', 2, [{ ...ANY_1, number: 2 }], 1, 2],
  ['also while the rule changes', 3, [ANY_1, { ...ANY_1, number: 2 }], 1, 2],
  ['lowered at once', 1, [{ ...ANY_1, number: 2 }], 0, 1],
];
for (const [name, number, inForce, count, expected] of raised)
  test(`wantedRule, required: ${name}`, () => {
    const there = [{ name: 'demo-1', incarnation: 'inc-1' }, ...members.filter((m) => m.name !== 'demo-1')];
    const rule = wantedRule(sync({ number }), 'demo-1', there.slice(0, count + 1), [], inForce);
    assert.equal(rule.number, expected);
    assert.equal(rule.required, expected > 0);
  });

const texts: [CommitRule, string][] = [
  [ASYNCHRONOUS, ''],
  [ANY_1, 'ANY 1 ("demo-2", "demo-3")'],
  [{ ...ANY_1, method: 'first', number: 2 }, 'FIRST 2 ("demo-2", "demo-3")'],
  [{ ...ANY_1, names: [] }, 'ANY 1 ("pgherd_nobody")'],
  [{ ...ANY_1, number: 2, names: ['demo-2'] }, 'ANY 2 ("demo-2", "pgherd_nobody")'],
];
for (const [rule, text] of texts)
  test(`ruleText: ${text || 'nothing'}`, () => assert.equal(ruleText(rule), text));

const quorums: [number, number, number][] = [
  [1, 2, 2],
  [2, 2, 1],
  [1, 1, 1],
  [2, 4, 3],
  [1, 0, 0],
  [2, 1, 0],
];
for (const [number, count, expected] of quorums)
  test(`quorumOf: ${number} of ${count} names`, () => {
    const names = Array.from({ length: count }, (_, i) => `demo-${i}`);
    assert.equal(quorumOf({ ...ANY_1, number, names }), expected);
  });

test('any quorum meets every set of names that may have acknowledged', () => {
  const subsets = (names: string[]): string[][] =>
    Array.from({ length: 2 ** names.length }, (_, bits) => names.filter((_, i) => bits & (1 << i)));
  for (let n = 1; n <= 5; n++) {
    const names = Array.from({ length: n }, (_, i) => `demo-${i}`);
    for (let number = 1; number <= n; number++) {
      const needed = quorumOf({ ...ANY_1, number, names });
      for (const acknowledged of subsets(names).filter((each) => each.length >= number))
        for (const answered of subsets(names).filter((each) => each.length >= needed))
          assert.ok(answered.some((name) => acknowledged.includes(name)));
    }
  }
});

test('fulfilledAt: enough of the names have flushed so far', () => {
  const rows = [row('demo-2', '0/20'), row('demo-3', '0/10'), row('demo-4', '0/20')];
  assert.equal(fulfilledAt(ANY_1, rows, 0x20n), true);
  assert.equal(fulfilledAt(ANY_1, rows, 0x21n), false);
  assert.equal(fulfilledAt({ ...ANY_1, number: 2 }, rows, 0x20n), false);
});

test('withRule: a union, each once', () => {
  assert.deepEqual(withRule([ANY_1], ANY_1), [ANY_1]);
  assert.deepEqual(withRule([ANY_1], ASYNCHRONOUS), [ANY_1, ASYNCHRONOUS]);
});

test('names are ordered by their numbers', () => {
  assert.deepEqual(['a-10', 'a-2', 'b-1', 'a-1'].sort(compareNames), ['a-1', 'a-2', 'a-10', 'b-1']);
});

test('an LSN is read and written, or is none', () => {
  for (const text of ['0/0', '0/1000', '16/B374D848', 'FFFFFFFF/FFFFFFFF'])
    assert.equal(formatLsn(parseLsn(text)!), text);
  for (const text of [undefined, '', '0', '0/', '/0', '0/123456789', 'x/1'])
    assert.equal(parseLsn(text), undefined);
});
