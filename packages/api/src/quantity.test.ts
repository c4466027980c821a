import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from './errors.ts';
import { compareQuantities, parseBytes, parseQuantity, tryParseQuantity } from './quantity.ts';

const GI = 1024n ** 3n;

const bytes: [string, bigint][] = [
  ['0', 0n],
  ['1', 1n],
  ['10Gi', 10n * GI],
  ['1.5Gi', (3n * GI) / 2n],
  ['.5Ki', 512n],
  ['5.', 5n],
  ['1k', 1000n],
  ['1e3', 1000n],
  ['1E3', 1000n],
  ['1E', 10n ** 18n],
  ['12e-1', 2n],
  ['500m', 1n],
  ['1n', 1n],
  ['+1Mi', 1048576n],
  ['-1Ki', -1024n],
  ['8Ei', 8n * 1024n ** 6n],
];

for (const [text, value] of bytes) {
  test(`${text} is ${value} bytes`, () => assert.equal(parseBytes(text), value));
}

for (const text of ['', 'x', '10Gx', '10 Gi', '10gi', '1.2.3', 'Gi', '1e', '--1', '1Ki ', '1K']) {
  test(`'${text}' is no amount`, () => {
    assert.equal(tryParseQuantity(text), undefined);
    assert.throws(
      () => parseQuantity(text),
      (error) => error instanceof ApiError && error.code === 'BadQuantity',
    );
  });
}

test('amounts compare by value, not by spelling', () => {
  assert.equal(compareQuantities('1Gi', '1024Mi'), 0);
  assert.equal(compareQuantities('1Gi', '1G'), 1);
  assert.equal(compareQuantities('999m', '1'), -1);
});
