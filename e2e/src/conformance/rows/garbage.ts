import assert from 'node:assert/strict';
import { configMap, deployment } from '../objects.ts';
import { type Api, type Json, rows, type Shown, sees } from '../table.ts';

function ownedBy(owner: Shown, more: Json = {}): Json {
  const { name, uid } = owner.metadata;
  return { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid, ...more }] };
}

async function family(api: Api, more: Json = {}): Promise<{ owner: Shown; child: string }> {
  const owner = await api.made('configmaps', configMap(`${api.name}-owner`));
  const child = `${api.name}-child`;
  await api.made('configmaps', configMap(child, {}, ownedBy(owner, more)));
  return { owner, child: api.path('configmaps', child) };
}

function remove(api: Api, name: string, propagationPolicy: string) {
  return api.ask('DELETE', api.path('configmaps', name), {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy,
  });
}

/** What becomes of objects whose owner goes. */
export const garbage = rows('garbage collection', {
  'Background: the owner goes at once, its children after it': async (api) => {
    const { owner, child } = await family(api);
    sees(await remove(api, owner.metadata.name, 'Background'), 200);
    assert.equal((await api.get(api.path('configmaps', owner.metadata.name))).code, 404);
    await api.gone(child, 60_000);
  },
  'Foreground: the owner stays until its children are gone': async (api) => {
    const { owner, child } = await family(api, { blockOwnerDeletion: true });
    sees(await api.patch('merge', child, { metadata: { finalizers: ['conformance.pgherd.io/keep'] } }), 200);
    const answer = await remove(api, owner.metadata.name, 'Foreground');
    sees(answer, 200, { metadata: { finalizers: ['foregroundDeletion'], deletionTimestamp: /Z$/ } });
    await api.until(
      child,
      'the child is not being deleted',
      ({ body }) => body.metadata?.deletionTimestamp !== undefined,
      60_000,
    );
    sees(await api.get(api.path('configmaps', owner.metadata.name)), 200);
    sees(await api.patch('merge', child, { metadata: { finalizers: null } }), 200);
    await api.gone(api.path('configmaps', owner.metadata.name), 60_000);
  },
  'Orphan: the children stay and have no owner': async (api) => {
    const { owner, child } = await family(api);
    sees(await remove(api, owner.metadata.name, 'Orphan'), 200);
    await api.gone(api.path('configmaps', owner.metadata.name), 60_000);
    const { body } = sees(await api.get(child), 200);
    assert.equal(body.metadata.ownerReferences?.length ?? 0, 0);
  },
  'an owner is known by uid: one made anew under its name does not keep the old children': async (api) => {
    const { owner, child } = await family(api);
    sees(await remove(api, owner.metadata.name, 'Background'), 200);
    await api.made('configmaps', configMap(owner.metadata.name));
    await api.gone(child, 60_000);
  },
  'a child of an owner that never was goes': async (api) => {
    const nobody = { metadata: { name: 'nobody', uid: '00000000-0000-4000-8000-000000000000' } } as Shown;
    await api.made('configmaps', configMap(api.name, {}, ownedBy(nobody)));
    await api.gone(api.path('configmaps', api.name), 60_000);
  },
  'with another owner left, a child stays': async (api) => {
    const { owner, child } = await family(api);
    const other = await api.made('configmaps', configMap(`${api.name}-other`));
    const both = [owner, other].flatMap((each) => ownedBy(each).ownerReferences as Json[]);
    sees(await api.patch('merge', child, { metadata: { ownerReferences: both } }), 200);
    sees(await remove(api, owner.metadata.name, 'Background'), 200);
    const left = await api.until(
      child,
      'the reference to the owner that went is still there',
      ({ body }) => body.metadata?.ownerReferences?.length === 1,
      60_000,
    );
    assert.equal(left.body.metadata.ownerReferences?.[0]?.name, other.metadata.name);
  },
  'a deployment makes a replica set, and takes it along': async (api) => {
    await api.made('deployments', deployment(api.name));
    const path = `${api.path('replicasets')}?labelSelector=app%3D${api.name}`;
    await api.until(path, 'there is no replica set', ({ body }) => body.items?.length === 1);
    sees(await api.ask('DELETE', api.path('deployments', api.name)), 200);
    await api.until(path, 'the replica set is still there', ({ body }) => body.items?.length === 0, 60_000);
  },
});
