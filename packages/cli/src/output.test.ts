import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, bytes, plainProgress, span, table, wrap } from './output.ts';

test('a table has no column without content and no blanks at line ends', () => {
  assert.deepEqual(
    table(
      ['NAME', 'EMPTY', 'AGE'],
      [
        ['a', '', '1s'],
        ['longer', '', '2m'],
      ],
    ),
    ['NAME    AGE', 'a       1s', 'longer  2m'],
  );
});

test('colours do not widen a column', () => {
  assert.deepEqual(table(['A', 'B'], [['\x1b[31mx\x1b[39m', 'y']]), ['A  B', '\x1b[31mx\x1b[39m  y']);
});

test('text is broken at blanks', () => {
  assert.equal(wrap('one two three four', '  ', 10), '  one two\n  three\n  four');
});

const spans: [number, string][] = [
  [412, '0.41 s'],
  [12_300, '12 s'],
  [185_000, '3m 5s'],
  [3 * 3_600_000, '3h 0m'],
  [50 * 3_600_000, '2d 2h'],
  [-1_000, '-1.00 s'],
];
for (const [ms, text] of spans) test(`${ms} ms reads ${text}`, () => assert.equal(span(ms), text));

const sizes: [number, string][] = [
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [200 * 1024 * 1024, '200 MiB'],
];
for (const [count, text] of sizes)
  test(`${count} bytes read ${text}`, () => assert.equal(bytes(count), text));

test('ages are short', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  assert.equal(age('2026-01-01T23:59:18Z', now), '42s');
  assert.equal(age('2026-01-01T23:50:00Z', now), '10m');
  assert.equal(age('2026-01-01T00:00:00Z', now), '24h');
  assert.equal(age(undefined, now), '-');
});

test('without a terminal: a line for each step, and for its figures every few seconds', () => {
  let now = 0;
  const lines: string[] = [];
  const stream = { write: (text: string) => lines.push(text.trimEnd()) };
  const progress = plainProgress('begins', stream, () => now);
  for (const [at, text] of [
    [100, 'copies: 1.0 MiB of 9 MiB (11 %), about 8 s left'],
    [1000, 'copies: 2.0 MiB of 9 MiB (22 %)'],
    [5000, 'copies: 5.0 MiB of 9 MiB (55 %)'],
    [5050, 'copies: 5.1 MiB of 9 MiB (56 %)'],
    [5200, 'waits for demo-1, demo-2'],
    [5300, 'waits for demo-2'],
    [5400, 'waits for demo-2'],
  ] as const) {
    now = at;
    progress.update(text);
  }
  progress.done('done');
  assert.deepEqual(lines, [
    'begins',
    'copies: 1.0 MiB of 9 MiB (11 %), about 8 s left',
    'waits for demo-1, demo-2',
    'waits for demo-2',
    'done',
  ]);
  now = 20_000;
  progress.update('copies: 1 of 3 files (33 %)');
  now = 25_000;
  progress.update('copies: 2 of 3 files (66 %)');
  assert.deepEqual(lines.slice(-2), ['copies: 1 of 3 files (33 %)', 'copies: 2 of 3 files (66 %)']);
});
