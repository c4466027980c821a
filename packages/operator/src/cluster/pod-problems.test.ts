import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCluster } from '../testing/facts.ts';
import { podProblems } from './pod-problems.ts';

const found = (spec: object): string[] =>
  podProblems(testCluster(spec)).map(({ field, message }) => `${field}: ${message}`);

test('what pods can have is no problem', () => {
  assert.deepEqual(found({}), []);
  assert.deepEqual(
    found({
      resources: { requests: { cpu: '500m', memory: '1Gi' }, limits: { cpu: 1, memory: '1024Mi' } },
      inheritedMetadata: {
        labels: { team: 'a', 'example.org/cost.center': '' },
        annotations: { 'a/b': ' any ' },
      },
    }),
    [],
  );
});

test('requests above their limits', () => {
  const resources = { requests: { cpu: 2, memory: '1Gi' }, limits: { cpu: '1500m', memory: '2Gi' } };
  assert.deepEqual(found({ resources }), ['spec.resources.requests.cpu: 2 is more than the limit of 1500m']);
});

test('keys and values that no object can have', () => {
  const inheritedMetadata = {
    labels: { 'a b': 'c', team: 'x/y' },
    annotations: { 'A/B': '', 'a_/b': '', 'a/b/c': '', ok: '' },
  };
  assert.deepEqual(found({ inheritedMetadata }), [
    "spec.inheritedMetadata.labels: 'a b' cannot be a key",
    "spec.inheritedMetadata.annotations: 'a_/b' cannot be a key",
    "spec.inheritedMetadata.annotations: 'a/b/c' cannot be a key",
    "spec.inheritedMetadata.labels.team: 'x/y' cannot be the value of a label",
  ]);
});
