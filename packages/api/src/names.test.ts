import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instanceName, instanceSerial, MAX_CLUSTER_NAME_LENGTH, names, walClaimName } from './names.ts';

test('an instance has its number back from its name', () => {
  assert.equal(instanceSerial('demo', instanceName('demo', 12)), 12);
});

for (const other of ['demo', 'demo-', 'demo-0', 'demo-01', 'demo-x', 'demo-1-wal', 'demo2-1', 'other-1']) {
  test(`${other} is no instance of demo`, () => assert.equal(instanceSerial('demo', other), undefined));
}

test('the longest name leaves room for every suffix within a DNS label', () => {
  const longest = 'a'.repeat(MAX_CLUSTER_NAME_LENGTH);
  const all = [...Object.values(names(longest)), walClaimName(instanceName(longest, 99_999_999))];
  assert.deepEqual(
    all.filter((name) => name.length > 63),
    [],
  );
});
