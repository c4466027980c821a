/** A cluster whose namespace is being deleted, against a real API server without the controller that would end it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds, type Log } from '@pgherd/kube';
import { createMetrics } from '../metrics.ts';
import { eventually, startTestApi } from '../testing/api.ts';
import { createStage } from '../testing/instances.ts';
import { createClusterController } from './controller.ts';
import { ClusterKind, type ClusterObject } from './kind.ts';

const NAMESPACE = 'going';

test('in a namespace that is being deleted nothing is made, and that is said once', async (t) => {
  const api = await startTestApi();
  t.after(() => api.stop());
  const said: string[] = [];
  const note = (_fields: object, message: string) => void said.push(message);
  const log: Log = { debug() {}, info: note, warn: note, error: note };
  const count = (text: string) => said.filter((line) => line.includes(text)).length;
  let looks = 0;
  const metrics = { ...createMetrics(() => 0), reconciled: () => void looks++ };

  await api.admin.create(kinds.Namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE },
  });
  const stage = createStage(api.admin, 'c', NAMESPACE);
  const controller = createClusterController({
    client: api.operator,
    namespaces: undefined,
    operatorImage: 'pgherd:test',
    log,
    metrics,
    reports: stage.reports,
  });
  const abort = new AbortController();
  controller.start(abort.signal);
  await controller.synced();
  const running = controller.run(abort.signal);
  t.after(async () => {
    abort.abort();
    await running;
  });
  await api.admin.create(ClusterKind, {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: { name: 'c', namespace: NAMESPACE },
    spec: { instances: 1, storage: { size: '1Gi' } },
  } as ClusterObject);
  const pod = { namespace: NAMESPACE, name: 'c-1' };
  await eventually('its pod', () => api.admin.find(kinds.Pod, pod));

  await api.admin.delete(kinds.Namespace, { name: NAMESPACE });
  await api.admin.delete(kinds.Pod, pod, { gracePeriodSeconds: 0 });
  await eventually('the word on it', async () => count('its namespace is being deleted') > 0);
  const made = count('creating an instance');
  for (let round = 0; round < 3; round++) {
    const before = looks;
    const body = { metadata: { annotations: { look: String(round) } } };
    await api.admin.patch(kinds.PersistentVolumeClaim, pod, { type: 'merge', body });
    await eventually('another look', async () => looks > before);
  }
  assert.equal(count('creating an instance'), made);
  assert.equal(count('its namespace is being deleted'), 1);

  // What the Cluster itself still needs is done when its own turn comes.
  await api.admin.delete(ClusterKind, { namespace: NAMESPACE, name: 'c' });
  await eventually('the Cluster to be gone', async () => {
    const cluster = await api.admin.find(ClusterKind, { namespace: NAMESPACE, name: 'c' });
    return cluster === undefined;
  });
});
