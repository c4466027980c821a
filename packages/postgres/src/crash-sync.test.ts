import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportsErrors } from './crash-sync.ts';

test('the kernels whose syncfs() reports what could not be written', () => {
  for (const [kernel, does] of [
    ['5.7.19', false],
    ['4.18.0-553.el8_10.x86_64', false],
    ['5.8.0', true],
    ['5.15.0-91-generic', true],
    ['6.1.0-18-amd64', true],
    ['', false],
  ] as const)
    assert.equal(reportsErrors(kernel), does, kernel);
});
