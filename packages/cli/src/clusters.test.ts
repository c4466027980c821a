import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestApi, type TestApi } from '@pgherd/operator/testing/api';
import { changeCluster } from './clusters.ts';
import { ClusterKind, type ClusterObject } from './kinds.ts';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.stop());

test('a change that somebody else was faster with is made on what is there then', async () => {
  const ref = { namespace: 'default', name: 'demo' };
  const manifest = {
    apiVersion: 'pgherd.io/v1',
    kind: 'Cluster',
    metadata: ref,
    spec: { storage: { size: '1Gi' } },
  };
  const read = await api.admin.create(ClusterKind, manifest as unknown as ClusterObject);
  await api.admin.patch(ClusterKind, ref, {
    type: 'merge',
    body: { metadata: { annotations: { list: 'a' } } },
  });
  const asked: (string | undefined)[] = [];
  const { metadata } = await changeCluster(api.admin, read, (now) => {
    const list = now.metadata.annotations?.list;
    asked.push(list);
    return { metadata: { annotations: { list: `${list}b` } } };
  });
  assert.deepEqual(asked, [undefined, 'a']);
  assert.equal(metadata.annotations?.list, 'ab');
});
