import assert from 'node:assert/strict';
import { configMap, deployment } from '../objects.ts';
import { type Answer, type Api, type Json, refuses, rows, sees } from '../table.ts';
import { widget } from '../widgets.ts';

function apply(api: Api, manager: string, resource: string, object: Json, query = ''): Promise<Answer> {
  return api.patch('apply', `${api.path(resource, api.name)}?fieldManager=${manager}${query}`, object);
}

/** PATCH with an apply configuration: fields have owners. */
export const serverSideApply = rows('apply', {
  'makes what is missing (201), and the same again changes nothing (200)': async (api) => {
    const first = sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 201).body;
    const again = sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 200).body;
    assert.equal(again.metadata.resourceVersion, first.metadata.resourceVersion);
    const [entry] = first.metadata.managedFields ?? [];
    assert.deepEqual(
      {
        manager: entry?.manager,
        operation: entry?.operation,
        fieldsType: entry?.fieldsType,
        fieldsV1: entry?.fieldsV1,
      },
      { manager: 'one', operation: 'Apply', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:a': {} } } },
    );
  },
  'a value that another manager owns is a conflict that names both': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 201);
    const answer = await apply(api, 'two', 'configmaps', configMap(api.name, { a: '2' }));
    refuses(answer, 409, 'Conflict', /conflict with "one"/, {
      causes: [{ reason: 'FieldManagerConflict', message: /conflict with "one"/, field: '.data.a' }],
    });
  },
  'force takes it over': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 201);
    const answer = await apply(api, 'two', 'configmaps', configMap(api.name, { a: '2' }), '&force=true');
    sees(answer, 200, { data: { a: '2' } });
    // It is no longer the first one's: leaving it out there takes nothing away.
    sees(await apply(api, 'one', 'configmaps', configMap(api.name, { b: '1' })), 200, {
      data: { a: '2', b: '1' },
    });
  },
  'the same value may have several owners': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 201);
    sees(await apply(api, 'two', 'configmaps', configMap(api.name)), 200);
    sees(await apply(api, 'one', 'configmaps', configMap(api.name, {})), 200, { data: { a: '1' } });
  },
  'a field that is left out goes, if nobody else owns it': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name, { a: '1', b: '2' })), 201);
    const answer = sees(await apply(api, 'one', 'configmaps', configMap(api.name, { b: '2' })), 200).body;
    assert.deepEqual(answer.data, { b: '2' });
  },
  'a field that an update set conflicts with its manager': async (api) => {
    await api.ask('POST', `${api.path('configmaps')}?fieldManager=maker`, configMap(api.name));
    const answer = await apply(api, 'two', 'configmaps', configMap(api.name, { a: '2' }));
    refuses(answer, 409, 'Conflict', /conflict with "maker" using v1/);
  },
  'list items merge by key': async (api) => {
    sees(await apply(api, 'one', 'deployments', deployment(api.name)), 201);
    const spec = { template: { spec: { containers: [{ name: 'three', image: 'example.com/three:1' }] } } };
    const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: api.name }, spec };
    const { body } = sees(await apply(api, 'two', 'deployments', object), 200);
    const { containers } = (body.spec as { template: { spec: { containers: { name: string }[] } } }).template
      .spec;
    assert.deepEqual(containers.map(({ name }) => name).sort(), ['one', 'three', 'two']);
  },
  'lists of a custom resource merge by the keys of its definition': async (api) => {
    const parts = (names: string[]) =>
      widget(api.group, api.name, { parts: names.map((name) => ({ name })) });
    sees(await apply(api, 'one', 'widgets', parts(['a'])), 201);
    const { body } = sees(await apply(api, 'two', 'widgets', parts(['b'])), 200);
    const { parts: found } = body.spec as { parts: { name: string; weight: number }[] };
    assert.deepEqual(
      found.sort((a, b) => a.name.localeCompare(b.name)),
      [
        { name: 'a', weight: 1 },
        { name: 'b', weight: 1 },
      ],
    );
  },
  'without a manager it is 422': async (api) => {
    const answer = await api.patch('apply', api.path('configmaps', api.name), configMap(api.name));
    refuses(answer, 422, 'Invalid', /fieldManager: Required value/);
  },
  'managedFields in the body are 400': async (api) => {
    const object = configMap(
      api.name,
      {},
      { managedFields: [{ manager: 'x', operation: 'Apply', apiVersion: 'v1' }] },
    );
    refuses(await apply(api, 'one', 'configmaps', object), 400, 'BadRequest', /managedFields must be nil/);
  },
  'a stale resourceVersion is 409': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name)), 201);
    const object = configMap(api.name, { a: '2' }, { resourceVersion: '1' });
    refuses(await apply(api, 'one', 'configmaps', object), 409, 'Conflict');
  },
  'a dry run stores nothing': async (api) => {
    sees(await apply(api, 'one', 'configmaps', configMap(api.name), '&dryRun=All'), 201);
    refuses(await api.get(api.path('configmaps', api.name)), 404, 'NotFound');
  },
  'YAML is taken': async (api) => {
    const text = `{apiVersion: v1, kind: ConfigMap, metadata: {name: ${api.name}}, data: {a: "1"}}`;
    sees(await api.patch('apply', `${api.path('configmaps', api.name)}?fieldManager=one`, text), 201);
  },
});
