import assert from 'node:assert/strict';
import { configMap, deployment, lease, pendingPod, role, service } from '../objects.ts';
import { refuses, rows, type Shown, sees } from '../table.ts';
import { widget } from '../widgets.ts';

const NOBODY = '00000000-0000-0000-0000-000000000000';

function version({ metadata }: Shown): bigint {
  return BigInt(metadata.resourceVersion);
}

/** PUT: compare-and-swap, what may not change, when `generation` moves. */
export const updates = rows('update', {
  'an update that changes nothing keeps the resourceVersion': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    const answer = sees(await api.ask('PUT', api.path('configmaps', api.name), object), 200);
    assert.equal(answer.body.metadata.resourceVersion, object.metadata.resourceVersion);
  },
  'a change raises the resourceVersion': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    const answer = await api.ask('PUT', api.path('configmaps', api.name), { ...object, data: { a: '2' } });
    assert.ok(version(sees(answer, 200, { data: { a: '2' } }).body) > version(object));
  },
  'a stale resourceVersion is 409 Conflict': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    sees(await api.ask('PUT', api.path('configmaps', api.name), { ...object, data: { a: '2' } }), 200);
    const answer = await api.ask('PUT', api.path('configmaps', api.name), { ...object, data: { a: '3' } });
    const message = new RegExp(
      `^Operation cannot be fulfilled on configmaps "${api.name}": the object has been modified; please apply your changes to the latest version and try again$`,
    );
    refuses(answer, 409, 'Conflict', message, { name: api.name, kind: 'configmaps' });
  },
  'another uid is 409 Conflict': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    const other = { ...object, metadata: { ...object.metadata, uid: NOBODY, resourceVersion: undefined } };
    refuses(await api.ask('PUT', api.path('configmaps', api.name), other), 409, 'Conflict', /UID/);
  },
  'another name than that of the path is 400': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const answer = await api.ask('PUT', api.path('configmaps', api.name), configMap('other'));
    refuses(answer, 400, 'BadRequest', /the name of the object \(other\) does not match/);
  },
  'without a resourceVersion a ConfigMap is replaced': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const answer = await api.ask('PUT', api.path('configmaps', api.name), configMap(api.name, { b: '2' }));
    assert.deepEqual(sees(answer, 200).body.data, { b: '2' });
  },
  'without a resourceVersion a Lease is refused with 422': async (api) => {
    await api.made('leases', lease(api.name));
    const answer = await api.ask('PUT', api.path('leases', api.name), lease(api.name));
    refuses(
      answer,
      422,
      'Invalid',
      /metadata.resourceVersion: Invalid value: .*must be specified for an update/,
    );
  },
  'without a resourceVersion a custom resource is refused with 422': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const answer = await api.ask('PUT', api.path('widgets', api.name), widget(api.group, api.name));
    refuses(answer, 422, 'Invalid', /metadata.resourceVersion.*must be specified for an update/);
  },
  'a missing ConfigMap is 404': async (api) => {
    refuses(await api.ask('PUT', api.path('configmaps', api.name), configMap(api.name)), 404, 'NotFound');
  },
  'a missing custom resource is 404': async (api) => {
    const body = widget(api.group, api.name);
    refuses(await api.ask('PUT', api.path('widgets', api.name), body), 404, 'NotFound');
  },
  'a missing Lease is made': async (api) => {
    sees(await api.ask('PUT', api.path('leases', api.name), lease(api.name)), 201);
  },
  'a missing Role is made': async (api) => {
    sees(await api.ask('PUT', api.path('roles', api.name), role(api.name)), 201);
  },
  'generation of a Deployment rises with spec and annotations, not with labels': async (api) => {
    // Paused, so that its controller leaves it alone.
    await api.made('deployments', deployment(api.name, { paused: true }));
    const path = api.path('deployments', api.name);
    const after = async (patch: object) =>
      sees(await api.patch('merge', path, patch), 200).body.metadata.generation;
    assert.equal(await after({ metadata: { labels: { a: 'b' } } }), 1);
    assert.equal(await after({ metadata: { annotations: { a: 'b' } } }), 2);
    assert.equal(await after({ spec: { minReadySeconds: 1 } }), 3);
    assert.equal(await after({ spec: { minReadySeconds: 1 } }), 3);
  },
  'what is immutable is refused with 422': async (api) => {
    await api.made('deployments', deployment(api.name));
    const other = { matchLabels: { app: 'other' } };
    const template = { metadata: { labels: { app: 'other' } } };
    const selector = { spec: { selector: other, template } };
    const deploymentPath = api.path('deployments', api.name);
    refuses(await api.patch('merge', deploymentPath, selector), 422, 'Invalid', /field is immutable/);
    await api.made('secrets', { metadata: { name: api.name }, data: {} });
    const secret = await api.patch('merge', api.path('secrets', api.name), { type: 'example.com/other' });
    refuses(secret, 422, 'Invalid', /type.*field is immutable/);
    await api.made('configmaps', { ...configMap(api.name), immutable: true });
    const map = await api.patch('merge', api.path('configmaps', api.name), { data: { a: '2' } });
    refuses(map, 422, 'Invalid', /immutable/);
    const { spec } = await api.made('services', service(api.name));
    const address = String((spec as { clusterIP: string }).clusterIP).replace(/.$/, (last) =>
      last === '1' ? '2' : '1',
    );
    const body = { spec: { clusterIP: address, clusterIPs: [address] } };
    refuses(
      await api.patch('merge', api.path('services', api.name), body),
      422,
      'Invalid',
      /may not change once set/,
    );
  },
  'the spec of a pod is immutable but for a few fields': async (api) => {
    await api.made('pods', pendingPod(api.name));
    const path = api.path('pods', api.name);
    const spec = { terminationGracePeriodSeconds: 99 };
    refuses(await api.patch('merge', path, { spec }), 422, 'Invalid', /pod updates may not change fields/);
    sees(await api.patch('merge', path, { metadata: { labels: { a: 'b' } } }), 200);
  },
  'a volume claim that is not bound cannot change its size': async (api) => {
    const spec = {
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'conformance-no-such-class',
      resources: { requests: { storage: '1Gi' } },
    };
    await api.made('persistentvolumeclaims', { metadata: { name: api.name }, spec });
    const more = { spec: { resources: { requests: { storage: '2Gi' } } } };
    refuses(
      await api.patch('merge', api.path('persistentvolumeclaims', api.name), more),
      422,
      'Invalid',
      /immutable/,
    );
  },
  'a binding cannot change its role': async (api) => {
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'a' };
    await api.made('rolebindings', { metadata: { name: api.name }, roleRef, subjects: [] });
    const body = { roleRef: { ...roleRef, name: 'b' } };
    refuses(
      await api.patch('merge', api.path('rolebindings', api.name), body),
      422,
      'Invalid',
      /cannot change roleRef/,
    );
  },
  'a PUT to a collection is 405': async (api) => {
    refuses(await api.ask('PUT', api.path('configmaps'), configMap(api.name)), 405, 'MethodNotAllowed');
  },
  'metadata that the server owns cannot be changed': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    const metadata = { ...object.metadata, creationTimestamp: '2000-01-01T00:00:00Z', generation: 9 };
    const answer = await api.ask('PUT', api.path('configmaps', api.name), { ...object, metadata });
    sees(answer, 200, { metadata: { creationTimestamp: object.metadata.creationTimestamp } });
  },
});
