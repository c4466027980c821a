/** What is known of a repository pod that does not answer. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@pgherd/postgres/testing';
import { RepositoryPod } from './repository-pod.ts';

const PATIENCE_MS = 20_000;

test('a pod that is not there is named soon, not only when WAL waits for it', async () => {
  const tls = () => ({ ca: '', clientCert: '', clientKey: '' });
  const pod = new RepositoryPod({ cluster: 'demo', namespace: 'nowhere.invalid', tls });
  pod.look();
  assert.equal(pod.problem(), undefined);
  await until(
    'the problem',
    () => {
      pod.look();
      return pod.problem() !== undefined;
    },
    PATIENCE_MS,
  );
  assert.match(pod.problem()!, /^the repository pod demo-backup\.nowhere\.invalid\.svc is not reached: /);
  assert.equal(pod.volumes(), undefined);
  pod.forget();
  assert.equal(pod.problem(), undefined);
});
