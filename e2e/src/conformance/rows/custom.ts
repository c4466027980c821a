import assert from 'node:assert/strict';
import { type Answer, type Api, isServedByNobody, type Json, refuses, rows, sees } from '../table.ts';
import { widget } from '../widgets.ts';

function create(api: Api, spec: Json, query = ''): Promise<Answer> {
  return api.ask('POST', `${api.path('widgets')}${query}`, widget(api.group, api.name, spec));
}

function spec({ body }: Answer): Json {
  return body.spec as Json;
}

/** Custom resources: subresources, defaults, pruning. */
export const custom = rows('custom resource', {
  'status in a POST is dropped': async (api) => {
    const body = widget(api.group, api.name, {}, { status: { phase: 'x' } });
    const answer = sees(await api.ask('POST', api.path('widgets'), body), 201);
    assert.equal(answer.body.status, undefined);
    assert.equal(answer.body.metadata.generation, 1);
  },
  'the main path does not change status, /status nothing else': async (api) => {
    const made = await api.made('widgets', widget(api.group, api.name));
    const path = api.path('widgets', api.name);
    const changed = { ...made, spec: { size: 7 }, status: { phase: 'Ready' } };
    const status = sees(await api.ask('PUT', `${path}/status`, changed), 200, {
      spec: { size: 1 },
      status: { phase: 'Ready' },
    }).body;
    const next = { ...status, spec: { size: 8 }, status: { phase: 'Other' } };
    sees(await api.ask('PUT', path, next), 200, { spec: { size: 8 }, status: { phase: 'Ready' } });
  },
  'generation rises with the spec, not with status or metadata': async (api) => {
    await api.made('widgets', widget(api.group, api.name));
    const path = api.path('widgets', api.name);
    const after = async (at: string, body: object) =>
      sees(await api.patch('merge', at, body), 200).body.metadata.generation;
    assert.equal(await after(path, { metadata: { labels: { a: 'b' }, annotations: { a: 'b' } } }), 1);
    assert.equal(await after(`${path}/status`, { status: { phase: 'x' } }), 1);
    assert.equal(await after(path, { spec: { size: 2 } }), 2);
  },
  '/scale shows and sets the replicas': async (api) => {
    await api.made('widgets', widget(api.group, api.name, { replicas: 2 }));
    const path = `${api.path('widgets', api.name)}/scale`;
    const scale = sees(await api.get(path), 200, {
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      metadata: { name: api.name },
      spec: { replicas: 2 },
    }).body;
    sees(await api.ask('PUT', path, { ...scale, spec: { replicas: 5 } }), 200, { spec: { replicas: 5 } });
    sees(await api.get(api.path('widgets', api.name)), 200, { spec: { replicas: 5 } });
    sees(await api.patch('merge', path, { spec: { replicas: 6 } }), 200, { spec: { replicas: 6 } });
  },
  'defaults are stored, where their parent is there': async (api) => {
    const found = spec(sees(await create(api, { inner: { open: true } }), 201));
    assert.deepEqual(found, { size: 1, replicas: 1, mode: 'auto', inner: { open: true, depth: 3 } });
  },
  'no parent, no default': async (api) => {
    assert.equal(spec(sees(await create(api, {}), 201)).inner, undefined);
  },
  'null where null is not allowed is defaulted or dropped': async (api) => {
    const found = spec(sees(await create(api, { mode: null, colour: null, maybe: null }), 201));
    assert.equal(found.mode, 'auto');
    assert.equal('colour' in found, false);
    assert.equal(found.maybe, null);
  },
  'unknown fields are pruned': async (api) => {
    const answer = sees(await create(api, { extra: 1, inner: { extra: 1 } }, '?fieldValidation=Ignore'), 201);
    assert.equal(spec(answer).extra, undefined);
    assert.deepEqual(spec(answer).inner, { depth: 3 });
  },
  'unknown fields are refused with fieldValidation=Strict': async (api) => {
    const answer = await create(api, { extra: 1, inner: { other: 1 } }, '?fieldValidation=Strict');
    refuses(answer, 400, 'BadRequest', /strict decoding error: .*unknown field "spec\.extra"/);
  },
  'unknown fields are warned of by default': async (api) => {
    const answer = sees(await create(api, { extra: 1 }), 201);
    assert.match(String(answer.headers.warning), /unknown field \\"spec.extra\\"/);
  },
  'where unknown fields are preserved they stay': async (api) => {
    const free = { any: [1, { thing: true }] };
    assert.deepEqual(spec(sees(await create(api, { free }, '?fieldValidation=Strict'), 201)).free, free);
  },
  'int-or-string takes both, and keeps them as they are': async (api) => {
    assert.equal(spec(sees(await create(api, { amount: 5 }), 201)).amount, 5);
    const body = widget(api.group, `${api.name}-b`, { amount: '5Gi' });
    assert.equal(spec(sees(await api.ask('POST', api.path('widgets'), body), 201)).amount, '5Gi');
  },
  'a group or kind that is not served is 404': async (api) => {
    isServedByNobody(await api.get(`/apis/${api.group}/v2/namespaces/${api.namespace}/widgets`));
    isServedByNobody(await api.get(`/apis/${api.group}/v1/namespaces/${api.namespace}/gadgets`));
  },
  'a definition whose name does not fit is 422': async (api) => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const names = { plural: 'gadgets', kind: 'Gadget' };
    const versions = [
      { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
    ];
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `other.${api.group}` },
      spec: { group: api.group, scope: 'Namespaced', names, versions },
    };
    refuses(await api.ask('POST', `${path}?dryRun=All`, definition), 422, 'Invalid', /metadata.name/);
    const loose = {
      ...definition,
      metadata: { name: `gadgets.${api.group}` },
      spec: {
        ...definition.spec,
        versions: [{ ...versions[0], schema: { openAPIV3Schema: { properties: { a: {} } } } }],
      },
    };
    refuses(await api.ask('POST', `${path}?dryRun=All`, loose), 422, 'Invalid', /type: Required value/);
  },
});
