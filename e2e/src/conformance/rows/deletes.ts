import assert from 'node:assert/strict';
import { configMap, pendingPod } from '../objects.ts';
import { refuses, rows, sees } from '../table.ts';
import { widget } from '../widgets.ts';

const NOBODY = '00000000-0000-0000-0000-000000000000';
const FINALIZER = 'conformance.pgherd.io/keep';

function deleteOptions(more: object): object {
  return { apiVersion: 'v1', kind: 'DeleteOptions', ...more };
}

/** DELETE: preconditions, finalizers, what comes back. */
export const deletes = rows('delete', {
  'a ConfigMap is answered with a Status that names it': async (api) => {
    const { metadata } = await api.made('configmaps', configMap(api.name));
    const answer = await api.ask('DELETE', api.path('configmaps', api.name));
    sees(answer, 200, {
      kind: 'Status',
      status: 'Success',
      details: { name: api.name, kind: 'configmaps', uid: metadata.uid },
    });
    refuses(await api.get(api.path('configmaps', api.name)), 404, 'NotFound', /not found$/, {
      name: api.name,
      kind: 'configmaps',
    });
  },
  'a custom resource is answered with a Status': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    sees(await api.ask('DELETE', api.path('widgets', api.name)), 200, { kind: 'Status', status: 'Success' });
  },
  'a pod is answered with itself': async (api) => {
    await api.made('pods', pendingPod(api.name));
    sees(await api.ask('DELETE', api.path('pods', api.name)), 200, { kind: 'Pod' });
    await api.gone(api.path('pods', api.name));
  },
  'what is missing is 404': async (api) => {
    refuses(await api.ask('DELETE', api.path('configmaps', 'nobody')), 404, 'NotFound');
  },
  'a uid that differs is 409 and deletes nothing': async (api) => {
    const { metadata } = await api.made('configmaps', configMap(api.name));
    const path = api.path('configmaps', api.name);
    const wrong = deleteOptions({ preconditions: { uid: NOBODY } });
    refuses(await api.ask('DELETE', path, wrong), 409, 'Conflict', /the UID in the precondition/);
    sees(await api.ask('DELETE', path, deleteOptions({ preconditions: { uid: metadata.uid } })), 200);
  },
  'a resourceVersion that differs is 409': async (api) => {
    const { metadata } = await api.made('configmaps', configMap(api.name));
    const path = api.path('configmaps', api.name);
    const old = deleteOptions({ preconditions: { resourceVersion: '1' } });
    refuses(await api.ask('DELETE', path, old), 409, 'Conflict', /the ResourceVersion in the precondition/);
    const right = deleteOptions({ preconditions: { resourceVersion: metadata.resourceVersion } });
    sees(await api.ask('DELETE', path, right), 200);
  },
  'a dry run deletes nothing': async (api) => {
    await api.made('configmaps', configMap(api.name));
    sees(await api.ask('DELETE', `${api.path('configmaps', api.name)}?dryRun=All`), 200);
    sees(await api.get(api.path('configmaps', api.name)), 200);
  },
  'a finalizer keeps the object until it is taken away': async (api) => {
    await api.made('configmaps', configMap(api.name, {}, { finalizers: [FINALIZER] }));
    const path = api.path('configmaps', api.name);
    sees(await api.ask('DELETE', path), 200, { kind: 'ConfigMap', metadata: { deletionTimestamp: /Z$/ } });
    const kept = sees(await api.get(path), 200).body;
    assert.equal(kept.metadata.deletionTimestamp !== undefined, true);
    // Deleting again is no error, and changes nothing.
    sees(await api.ask('DELETE', path), 200);
    const more = { metadata: { finalizers: [FINALIZER, 'conformance.pgherd.io/late'] } };
    refuses(await api.patch('merge', path, more), 422, 'Invalid', /no new finalizers can be added/);
    sees(await api.patch('merge', path, { metadata: { finalizers: [] } }), 200);
    refuses(await api.get(path), 404, 'NotFound');
  },
  'a name can be taken again at once, with another uid': async (api) => {
    const first = await api.made('configmaps', configMap(api.name));
    sees(await api.ask('DELETE', api.path('configmaps', api.name)), 200);
    const second = await api.made('configmaps', configMap(api.name));
    assert.notEqual(second.metadata.uid, first.metadata.uid);
  },
  'a collection is deleted by selector': async (api) => {
    await api.made('configmaps', configMap(`${api.name}-a`, {}, { labels: { row: api.name, go: 'yes' } }));
    await api.made('configmaps', configMap(`${api.name}-b`, {}, { labels: { row: api.name } }));
    sees(await api.ask('DELETE', `${api.path('configmaps')}?labelSelector=row%3D${api.name},go%3Dyes`), 200);
    const { body } = await api.get(`${api.path('configmaps')}?labelSelector=row%3D${api.name}`);
    assert.deepEqual(
      body.items.map(({ metadata }) => metadata.name),
      [`${api.name}-b`],
    );
  },
  'a propagation policy that is none is 422': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const answer = await api.ask(
      'DELETE',
      api.path('configmaps', api.name),
      deleteOptions({ propagationPolicy: 'Some' }),
    );
    refuses(answer, 422, 'Invalid', /propagationPolicy/);
  },
});
