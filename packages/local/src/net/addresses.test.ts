import assert from 'node:assert/strict';
import { test } from 'node:test';
import { macOf, nextPodAddress, podDevice } from './addresses.ts';

const cases: [string, string[], string | undefined, string | undefined][] = [
  ['the first of a node', [], undefined, '10.244.3.2'],
  ['the one after the last, not the lowest free', [], '10.244.3.9', '10.244.3.10'],
  ['past those in use', ['10.244.3.10', '10.244.3.11'], '10.244.3.9', '10.244.3.12'],
  ['round at the end', [], '10.244.3.254', '10.244.3.2'],
  [
    'the last itself, when it alone is free',
    all().filter((ip) => ip !== '10.244.3.7'),
    '10.244.3.7',
    '10.244.3.7',
  ],
  ['none', all(), '10.244.3.7', undefined],
];

function all(): string[] {
  return Array.from({ length: 253 }, (_, index) => `10.244.3.${index + 2}`);
}

for (const [title, used, last, expected] of cases) {
  test(`next address: ${title}`, () => {
    assert.equal(nextPodAddress(3, new Set(used), last), expected);
  });
}

test('names made of an address', () => {
  assert.equal(macOf('10.244.1.20'), '02:42:0a:f4:01:14');
  assert.equal(podDevice('10.244.250.254'), 'p250-254');
});
