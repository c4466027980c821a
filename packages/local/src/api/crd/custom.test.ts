import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApi, type TestApi } from '../testing.ts';
import type { KubeObject, Obj } from '../types.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets';
const MERGE = { type: 'application/merge-patch+json' };

const definition = {
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        additionalPrinterColumns: [
          { name: 'Size', type: 'string', jsonPath: '.spec.size' },
          { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                'x-kubernetes-validations': [
                  {
                    rule: '!has(self.low) || !has(self.high) || self.low < self.high',
                    message: 'low must be less than high',
                  },
                  {
                    rule: "!has(self.gib) || quantity(self.gib).isGreaterThan(quantity('1Gi'))",
                    message: 'gib must be more than 1Gi',
                    fieldPath: '.gib',
                  },
                ],
                properties: {
                  size: { type: 'string', pattern: '^[0-9]+(Mi|Gi)$' },
                  gib: { type: 'string' },
                  replicas: { type: 'integer', minimum: 1, default: 2 },
                  low: { type: 'integer' },
                  high: { type: 'number' },
                  mode: { type: 'string', enum: ['fast', 'slow'], default: 'fast' },
                  fixed: {
                    type: 'string',
                    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed is immutable' }],
                  },
                  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  port: { 'x-kubernetes-int-or-string': true },
                  parts: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['name'],
                    items: {
                      type: 'object',
                      required: ['name'],
                      properties: { name: { type: 'string' }, weight: { type: 'integer', default: 1 } },
                    },
                  },
                },
              },
              status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        },
      },
    ],
  },
};

let api: TestApi;
before(async () => {
  api = await startTestApi();
  const answer = await api.ask('POST', CRDS, definition);
  assert.equal(answer.code, 201, answer.text);
});
after(() => api.close());

let counter = 0;
async function make(spec: Obj): Promise<KubeObject> {
  const answer = await api.ask('POST', WIDGETS, { metadata: { name: `w-${++counter}` }, spec });
  assert.equal(answer.code, 201, answer.text);
  return answer.body as unknown as KubeObject;
}

describe('a definition', () => {
  it('is established at once and appears in discovery', async () => {
    const { body } = await api.ask('GET', `${CRDS}/widgets.example.com`);
    const conditions = (body.status as { conditions: Obj[] }).conditions;
    assert.ok(conditions.some((one) => one.type === 'Established' && one.status === 'True'));
    const list = await api.ask('GET', '/apis/example.com/v1');
    const names = (list.body.resources as Obj[]).map((one) => one.name);
    assert.deepEqual(names, ['widgets', 'widgets/status', 'widgets/scale']);
  });

  it('is refused when a rule does not compile or the name does not fit', async () => {
    const broken = structuredClone(definition);
    broken.metadata.name = 'gadgets.example.com';
    (broken.spec.versions[0]?.schema.openAPIV3Schema.properties.spec as Obj)['x-kubernetes-validations'] = [
      { rule: 'self.(' },
    ];
    const answer = await api.ask('POST', CRDS, broken);
    assert.equal(answer.code, 422);
    assert.match(answer.body.message ?? '', /must be spec.names.plural/);
    assert.match(answer.body.message ?? '', /compilation failed/);
  });
});

describe('a custom resource', () => {
  it('is pruned and defaulted', async () => {
    const object = await make({
      size: '1Gi',
      unknown: { a: 1 },
      free: { any: [1] },
      mode: null,
      parts: [{ name: 'a', extra: 1 }],
    });
    assert.deepEqual(object.spec, {
      size: '1Gi',
      free: { any: [1] },
      mode: 'fast',
      parts: [{ name: 'a', weight: 1 }],
      replicas: 2,
    });
    assert.equal(object.metadata.generation, 1);
  });

  const wrong: [spec: Obj, message: RegExp][] = [
    [{}, /spec.size: Required value/],
    [{ size: '10Gx' }, /spec.size: Invalid value: "10Gx": spec.size in body should match/],
    [
      { size: '1Gi', replicas: 0 },
      /spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1/,
    ],
    [
      { size: '1Gi', replicas: '2' },
      /spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"/,
    ],
    [
      { size: '1Gi', mode: 'quick' },
      /spec.mode: Unsupported value: "quick": supported values: "fast", "slow"/,
    ],
    [{ size: '1Gi', low: 2, high: 1.5 }, /spec: Invalid value: "object": low must be less than high/],
    [{ size: '1Gi', gib: '1Gi' }, /spec.gib: Invalid value: "object": gib must be more than 1Gi/],
    [{ size: '1Gi', port: [1] }, /spec.port.*must be of type integer,string: "array"/],
    [
      { size: '1Gi', parts: [{ name: 'a' }, { name: 'a' }] },
      /spec.parts\[1\]: Duplicate value: {"name":"a"}/,
    ],
  ];
  for (const [spec, message] of wrong) {
    it(`is refused with ${JSON.stringify(spec)}`, async () => {
      const answer = await api.ask('POST', WIDGETS, { metadata: { name: 'wrong' }, spec });
      assert.equal(answer.code, 422, answer.text);
      assert.match(answer.body.message ?? '', message);
      assert.ok((answer.body.details as { causes: Obj[] }).causes.length > 0);
    });
  }

  it('names unknown fields when validation is strict', async () => {
    const answer = await api.ask('POST', `${WIDGETS}?fieldValidation=Strict`, {
      metadata: { name: 'u' },
      spec: { size: '1Gi', sise: 1 },
    });
    assert.equal(answer.code, 400);
    assert.match(answer.body.message ?? '', /strict decoding error: unknown field "spec.sise"/);
  });

  it('keeps immutable what a rule with oldSelf protects', async () => {
    const object = await make({ size: '1Gi', fixed: 'a' });
    const path = `${WIDGETS}/${object.metadata.name}`;
    const refused = await api.ask('PATCH', path, { spec: { fixed: 'b' } }, MERGE);
    assert.equal(refused.code, 422);
    assert.match(refused.body.message ?? '', /spec.fixed: Invalid value: "b": fixed is immutable/);
    assert.equal((await api.ask('PATCH', path, { spec: { size: '2Gi' } }, MERGE)).code, 200);
  });

  it('tolerates an old wrong value that an update does not touch', async () => {
    const object = await make({ size: '1Gi' });
    const stored = api.server.store.get('widgets.example.com', 'default', object.metadata.name) as KubeObject;
    api.server.store.update('widgets.example.com', {
      ...stored,
      spec: { ...(stored.spec as Obj), size: 'big', mode: 'odd' },
    });
    const path = `${WIDGETS}/${object.metadata.name}`;
    assert.equal((await api.ask('PATCH', path, { spec: { replicas: 3 } }, MERGE)).code, 200);
    assert.equal((await api.ask('PATCH', path, { spec: { size: 'bigger' } }, MERGE)).code, 422);
  });

  it('has status and scale apart', async () => {
    const object = await make({ size: '1Gi' });
    const path = `${WIDGETS}/${object.metadata.name}`;
    const status = await api.ask(
      'PATCH',
      `${path}/status`,
      { status: { replicas: 2, selector: 'a=b' }, spec: { size: '9Gi' } },
      MERGE,
    );
    assert.equal((status.body.spec as Obj).size, '1Gi');
    assert.equal(status.body.metadata?.generation, 1);
    const scale = await api.ask('GET', `${path}/scale`);
    assert.deepEqual(
      [(scale.body.spec as Obj).replicas, scale.body.status],
      [2, { replicas: 2, selector: 'a=b' }],
    );
    const put = await api.ask('PUT', path, { ...object, metadata: { name: object.metadata.name } });
    assert.equal(put.code, 422);
    assert.match(put.body.message ?? '', /metadata.resourceVersion: Invalid value: 0/);
  });

  it('shows its printer columns', async () => {
    const object = await make({ size: '3Gi' });
    await api.ask(
      'PATCH',
      `${WIDGETS}/${object.metadata.name}/status`,
      { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
      MERGE,
    );
    const table = await api.ask('GET', `${WIDGETS}/${object.metadata.name}`, undefined, {
      headers: { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    });
    assert.deepEqual((table.body.rows as { cells: unknown[] }[])[0]?.cells, [
      object.metadata.name,
      '3Gi',
      'True',
    ]);
  });

  it('goes with its definition', async () => {
    await make({ size: '1Gi' });
    const watch = await api.watch(`${CRDS}?watch=1&fieldSelector=metadata.name%3Dwidgets.example.com`);
    await api.ask('DELETE', `${CRDS}/widgets.example.com`);
    let event = await watch.next();
    while (event.type !== 'DELETED') event = await watch.next();
    watch.close();
    assert.equal((await api.ask('GET', WIDGETS)).code, 404);
    assert.equal(api.server.store.count('widgets.example.com'), 0);
  });
});
