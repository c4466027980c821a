import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareLsn, diffLsn, formatLsn, maxLsn, parseLsn, walFileName } from './lsn.ts';

test('positions read back as written', () => {
  let seed = 42n;
  for (let i = 0; i < 1000; i++) {
    seed = (seed * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    assert.equal(parseLsn(formatLsn(seed)), seed);
  }
  assert.equal(formatLsn(parseLsn('16/b374d848')), '16/B374D848');
});

test('positions compare as numbers, not as text', () => {
  assert.ok(compareLsn('9/0', '10/0') < 0);
  assert.ok(compareLsn('0/9', '0/10') < 0);
  assert.equal(compareLsn('0/0A', '0/A'), 0);
  assert.equal(diffLsn('1/0', '0/FFFFFFFF'), 1n);
  assert.equal(maxLsn('9/0', '10/0'), '10/0');
  assert.equal(maxLsn(undefined, '0/1'), '0/1');
  assert.equal(maxLsn('0/1', undefined), '0/1');
});

test('what is not a position is refused', () => {
  for (const bad of ['', '0', '0/', '/0', '0/123456789', 'x/0', '0/0 ']) {
    assert.throws(() => parseLsn(bad), { code: 'BadLsn' });
  }
});

test('segment names', () => {
  assert.equal(walFileName(1, parseLsn('0/3000148')), '000000010000000000000003');
  assert.equal(walFileName(10, parseLsn('2/FF000000')), '0000000A00000002000000FF');
  assert.equal(walFileName(1, parseLsn('1/40000000'), 1024 * 1024 * 1024), '000000010000000100000001');
});
