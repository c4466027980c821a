import assert from 'node:assert/strict';
import { configMap, deployment } from '../objects.ts';
import { type Api, refuses, rows, type Shown, sees } from '../table.ts';
import { widget } from '../widgets.ts';

interface Container {
  name: string;
  image: string;
  env?: { name: string; value?: string }[];
  ports?: { containerPort: number }[];
}

function containers(object: Shown): Container[] {
  return (object.spec as { template: { spec: { containers: Container[] } } }).template.spec.containers;
}

async function patchedContainers(api: Api, change: object): Promise<Container[]> {
  await api.made('deployments', deployment(api.name));
  const body = { spec: { template: { spec: change } } };
  return containers(sees(await api.patch('strategic', api.path('deployments', api.name), body), 200).body);
}

async function patchedMap(api: Api, operations: unknown): Promise<Shown> {
  await api.made('configmaps', configMap(api.name, { a: '1', b: '2' }));
  return sees(await api.patch('json', api.path('configmaps', api.name), operations), 200).body;
}

/** PATCH with a JSON patch, a merge patch, a strategic merge patch. */
export const patches = rows('patch', {
  'JSON: add, replace, remove, move, copy, and a test that holds': async (api) => {
    const { data } = await patchedMap(api, [
      { op: 'test', path: '/data/a', value: '1' },
      { op: 'replace', path: '/data/a', value: '9' },
      { op: 'add', path: '/data/c', value: '3' },
      { op: 'copy', from: '/data/c', path: '/data/d' },
      { op: 'move', from: '/data/c', path: '/data/e' },
      { op: 'remove', path: '/data/b' },
    ]);
    assert.deepEqual(data, { a: '9', d: '3', e: '3' });
  },
  'JSON: keys with a slash are written ~1': async (api) => {
    const { metadata } = await patchedMap(api, [
      { op: 'add', path: '/metadata/annotations', value: {} },
      { op: 'add', path: '/metadata/annotations/example.com~1key', value: 'x' },
    ]);
    assert.deepEqual(metadata.annotations, { 'example.com/key': 'x' });
  },
  'JSON: a test that fails is 422 and changes nothing': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const path = api.path('configmaps', api.name);
    const operations = [
      { op: 'replace', path: '/data/a', value: '2' },
      { op: 'test', path: '/data/a', value: '1' },
    ];
    refuses(await api.patch('json', path, operations), 422, 'Invalid');
    sees(await api.get(path), 200, { data: { a: '1' } });
  },
  'JSON: removing what is not there is 422': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const operations = [{ op: 'remove', path: '/data/nothing' }];
    refuses(await api.patch('json', api.path('configmaps', api.name), operations), 422, 'Invalid');
  },
  'JSON: what is no list of operations is 400': async (api) => {
    await api.made('configmaps', configMap(api.name));
    refuses(await api.patch('json', api.path('configmaps', api.name), { op: 'add' }), 400, 'BadRequest');
  },
  'merge: null removes, objects merge, the rest stays': async (api) => {
    await api.made('configmaps', configMap(api.name, { a: '1', b: '2' }, { labels: { x: 'y' } }));
    const body = { data: { a: null, c: '3' }, metadata: { labels: { z: 'w' } } };
    const answer = sees(await api.patch('merge', api.path('configmaps', api.name), body), 200).body;
    assert.deepEqual(answer.data, { b: '2', c: '3' });
    assert.deepEqual(answer.metadata.labels, { x: 'y', z: 'w' });
  },
  'merge: lists are replaced whole': async (api) => {
    await api.made('widgets', widget(api.group, api.name, { words: ['a', 'b'] }));
    const answer = await api.patch('merge', api.path('widgets', api.name), { spec: { words: ['c'] } });
    assert.deepEqual((sees(answer, 200).body.spec as { words: string[] }).words, ['c']);
  },
  'merge: a resourceVersion in it is a precondition': async (api) => {
    const { metadata } = await api.made('configmaps', configMap(api.name));
    const path = api.path('configmaps', api.name);
    const body = (resourceVersion: string) => ({ metadata: { resourceVersion }, data: { a: '2' } });
    refuses(await api.patch('merge', path, body('1')), 409, 'Conflict', /has been modified/);
    sees(await api.patch('merge', path, body(metadata.resourceVersion)), 200);
  },
  'merge: a uid in it that differs is 422: it is immutable': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const body = { metadata: { uid: '00000000-0000-0000-0000-000000000000' }, data: { a: '2' } };
    const answer = await api.patch('merge', api.path('configmaps', api.name), body);
    refuses(answer, 422, 'Invalid', /metadata\.uid: .*field is immutable/);
  },
  'merge: a change that changes nothing keeps the resourceVersion': async (api) => {
    const object = await api.made('configmaps', configMap(api.name));
    const answer = await api.patch('merge', api.path('configmaps', api.name), { data: { a: '1' } });
    assert.equal(sees(answer, 200).body.metadata.resourceVersion, object.metadata.resourceVersion);
  },
  'a patch of what is missing is 404': async (api) => {
    refuses(await api.patch('merge', api.path('configmaps', 'nobody'), { data: {} }), 404, 'NotFound');
  },
  'a patch that leaves a bad object is 422': async (api) => {
    await api.made('deployments', deployment(api.name));
    const body = { spec: { replicas: -1 } };
    refuses(
      await api.patch('merge', api.path('deployments', api.name), body),
      422,
      'Invalid',
      /spec.replicas/,
    );
  },
  'strategic: containers merge by name': async (api) => {
    const found = await patchedContainers(api, { containers: [{ name: 'one', image: 'example.com/one:2' }] });
    const images = Object.fromEntries(found.map(({ name, image }) => [name, image]));
    assert.deepEqual(images, { one: 'example.com/one:2', two: 'example.com/two:1' });
    assert.equal(found.find(({ name }) => name === 'one')?.ports?.[0]?.containerPort, 80);
  },
  'strategic: new list items come first': async (api) => {
    const found = await patchedContainers(api, { containers: [{ name: 'new', image: 'example.com/new:1' }] });
    assert.deepEqual(
      found.map(({ name }) => name),
      ['new', 'one', 'two'],
    );
  },
  'strategic: $patch delete removes an item, $setElementOrder orders': async (api) => {
    const found = await patchedContainers(api, {
      '$setElementOrder/containers': [{ name: 'two' }, { name: 'new' }],
      containers: [
        { name: 'one', $patch: 'delete' },
        { name: 'new', image: 'example.com/new:1' },
      ],
    });
    assert.deepEqual(
      found.map(({ name }) => name),
      ['two', 'new'],
    );
  },
  'strategic: $patch replace replaces a map': async (api) => {
    await api.made('deployments', deployment(api.name));
    const path = api.path('deployments', api.name);
    sees(await api.patch('merge', path, { metadata: { labels: { a: '1' } } }), 200);
    const answer = await api.patch('strategic', path, {
      metadata: { labels: { $patch: 'replace', b: '2' } },
    });
    assert.deepEqual(sees(answer, 200).body.metadata.labels, { b: '2' });
  },
  'strategic: null removes': async (api) => {
    await api.made('configmaps', configMap(api.name, { a: '1', b: '2' }));
    const answer = await api.patch('strategic', api.path('configmaps', api.name), { data: { a: null } });
    assert.deepEqual(sees(answer, 200).body.data, { b: '2' });
  },
  'strategic: $deleteFromPrimitiveList takes finalizers away one by one': async (api) => {
    const finalizers = ['conformance.pgherd.io/a', 'conformance.pgherd.io/b'];
    await api.made('configmaps', configMap(api.name, {}, { finalizers }));
    const path = api.path('configmaps', api.name);
    const body = { metadata: { '$deleteFromPrimitiveList/finalizers': ['conformance.pgherd.io/a'] } };
    assert.deepEqual(sees(await api.patch('strategic', path, body), 200).body.metadata.finalizers, [
      'conformance.pgherd.io/b',
    ]);
    sees(await api.patch('merge', path, { metadata: { finalizers: null } }), 200);
  },
  'strategic on a custom resource is 415': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const answer = await api.patch('strategic', api.path('widgets', api.name), { spec: { size: 2 } });
    refuses(answer, 415, 'UnsupportedMediaType', /accepted media types include/);
  },
});
