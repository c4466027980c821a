import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redact } from './redact.ts';

test('the contents of a Secret are hidden, the names of its keys are not', () => {
  assert.deepEqual(
    redact({ kind: 'Secret', metadata: { name: 'a' }, data: { password: 'eA==', uri: 'eQ==' } }),
    {
      kind: 'Secret',
      metadata: { name: 'a' },
      data: { password: '(hidden)', uri: '(hidden)' },
    },
  );
});

test('an environment variable that is called a password is hidden', () => {
  assert.deepEqual(
    redact([
      { name: 'PGPASSWORD', value: 'x' },
      { name: 'LANG', value: 'C' },
    ]),
    [
      { name: 'PGPASSWORD', value: '(hidden)' },
      { name: 'LANG', value: 'C' },
    ],
  );
});

const texts: [string, string][] = [
  ['host=a password=geheim user=b', 'host=a password=(hidden) user=b'],
  ["password='a b' x", 'password=(hidden) x'],
  ['postgresql://app:pw@demo-rw:5432/app', 'postgresql://app:(hidden)@demo-rw:5432/app'],
  ["ALTER ROLE a PASSWORD 'it''s'", "ALTER ROLE a PASSWORD '(hidden)'"],
  ['nothing to hide', 'nothing to hide'],
];
for (const [text, expected] of texts)
  test(`in text: ${expected}`, () => assert.equal(redact(text), expected));
