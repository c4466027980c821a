import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Answer, startTestApi, type TestApi } from './testing.ts';
import type { ManagedFieldsEntry, Obj } from './types.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const SERVICES = '/api/v1/namespaces/default/services';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.close());

function applyMap(name: string, manager: string, data: Obj, more = ''): Promise<Answer> {
  const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
  return api.ask('PATCH', `${CONFIGMAPS}/${name}?fieldManager=${manager}${more}`, config, {
    type: 'application/apply-patch+yaml',
  });
}

function managers(answer: Answer): string[] {
  return ((answer.body.metadata?.managedFields ?? []) as ManagedFieldsEntry[])
    .map((entry) => `${entry.manager}/${entry.operation}`)
    .sort();
}

describe('server-side apply', () => {
  it('creates, and changes nothing when said again', async () => {
    const first = await applyMap('a', 'one', { x: '1' });
    assert.equal(first.code, 201);
    assert.deepEqual(managers(first), ['one/Apply']);
    const again = await applyMap('a', 'one', { x: '1' });
    assert.equal(again.code, 200);
    assert.equal(again.body.metadata?.resourceVersion, first.body.metadata?.resourceVersion);
  });

  it('removes what its manager no longer states', async () => {
    await applyMap('b', 'one', { x: '1', y: '1' });
    await applyMap('b', 'two', { y: '1', z: '1' });
    const next = await applyMap('b', 'one', { w: '1' });
    // y is still stated by two.
    assert.deepEqual(next.body.data, { y: '1', z: '1', w: '1' });
  });

  it('names conflicts, and takes over by force', async () => {
    await applyMap('c', 'one', { x: '1' });
    const refused = await applyMap('c', 'two', { x: '2' });
    assert.equal(refused.code, 409);
    assert.match(
      refused.body.message ?? '',
      /Apply failed with 1 conflict: conflict with "one" using v1: .data.x/,
    );
    assert.deepEqual((refused.body.details as { causes: Obj[] }).causes, [
      { reason: 'FieldManagerConflict', message: 'conflict with "one" using v1', field: '.data.x' },
    ]);
    const forced = await applyMap('c', 'two', { x: '2' }, '&force=true');
    assert.equal(forced.code, 200);
    assert.deepEqual(managers(forced), ['two/Apply']);
  });

  it('sees what a plain update took over', async () => {
    await applyMap('d', 'one', { x: '1' });
    await api.ask(
      'PATCH',
      `${CONFIGMAPS}/d?fieldManager=editor`,
      { data: { x: '5' } },
      { type: 'application/merge-patch+json' },
    );
    const refused = await applyMap('d', 'one', { x: '1' });
    assert.equal(refused.code, 409);
    assert.match(refused.body.message ?? '', /conflict with "editor" using v1: .data.x/);
  });

  it('merges keyed lists', async () => {
    const config = (manager: string, ports: Obj[]) =>
      api.ask(
        'PATCH',
        `${SERVICES}/s?fieldManager=${manager}`,
        { apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec: { ports } },
        { type: 'application/apply-patch+yaml' },
      );
    await config('one', [{ name: 'a', port: 80 }]);
    const both = await config('two', [{ name: 'b', port: 81 }]);
    assert.equal(both.code, 200, both.text);
    assert.deepEqual((both.body.spec as { ports: Obj[] }).ports.map((port) => port.name).sort(), ['a', 'b']);
    const one = await config('one', [{ name: 'c', port: 82 }]);
    assert.deepEqual((one.body.spec as { ports: Obj[] }).ports.map((port) => port.name).sort(), ['b', 'c']);
  });

  it('reads YAML, and refuses what it cannot own', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: y\ndata:\n  a: "1"\n';
    const path = `${CONFIGMAPS}/y?fieldManager=one`;
    assert.equal((await api.ask('PATCH', path, yaml, { type: 'application/apply-patch+yaml' })).code, 201);
    const unknown = await api.ask('PATCH', path, `${yaml}extra: 1\n`, {
      type: 'application/apply-patch+yaml',
    });
    assert.equal(unknown.code, 500);
    assert.match(unknown.body.message ?? '', /.extra: field not declared in schema/);
    assert.equal(
      (await api.ask('PATCH', `${CONFIGMAPS}/y`, yaml, { type: 'application/apply-patch+yaml' })).code,
      422,
    );
  });

  it('writes nothing on a dry run', async () => {
    assert.equal((await applyMap('dry', 'one', { x: '1' }, '&dryRun=All')).code, 201);
    assert.equal((await api.ask('GET', `${CONFIGMAPS}/dry`)).code, 404);
  });
});
