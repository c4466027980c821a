import assert from 'node:assert/strict';
import { eventually, isServedByNobody, type Json, rows, sees } from '../table.ts';

const AGGREGATED = {
  headers: {
    accept:
      'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json',
  },
};

interface Group {
  metadata: { name?: string };
  versions: {
    version: string;
    resources: { resource: string; subresources?: { subresource: string }[] }[];
  }[];
}

/** What clients ask to learn what there is. */
export const discovery = rows('discovery', {
  'GET /version': async (api) => {
    const { body } = sees(await api.get('/version'), 200, { major: '1', gitVersion: /^v1\.\d+\.\d+/ });
    assert.ok(Number.parseInt(String(body.minor), 10) >= 30, String(body.minor));
  },
  'GET /readyz and /livez say ok': async (api) => {
    for (const path of ['/readyz', '/livez']) assert.equal((await api.get(path)).text.trim(), 'ok');
  },
  'the groups, in the old form': (api) =>
    eventually(async () => {
      sees(await api.get('/api'), 200, { kind: 'APIVersions', versions: ['v1'] });
      const { body } = sees(await api.get('/apis'), 200, { kind: 'APIGroupList' });
      const groups = (body.groups as { name: string }[]).map(({ name }) => name);
      for (const name of ['apps', 'batch', 'policy', 'coordination.k8s.io', api.group])
        assert.ok(groups.includes(name), `${name} is missing`);
    }),
  'the groups with all that is in them, in the new form': (api) =>
    eventually(async () => {
      const answer = sees(await api.get('/apis', AGGREGATED), 200, { kind: 'APIGroupDiscoveryList' });
      assert.match(String(answer.headers['content-type']), /as=APIGroupDiscoveryList/);
      const group = (answer.body.items as unknown as Group[]).find(
        ({ metadata }) => metadata.name === api.group,
      );
      const [widgets] = group?.versions[0]?.resources ?? [];
      assert.equal(widgets?.resource, 'widgets');
      assert.deepEqual(widgets?.subresources?.map(({ subresource }) => subresource).sort(), [
        'scale',
        'status',
      ]);
    }),
  'the resources of a version': (api) =>
    eventually(async () => {
      const { body } = sees(await api.get(`/apis/${api.group}/v1`), 200, { kind: 'APIResourceList' });
      const widgets = (body.resources as Json[]).find(({ name }) => name === 'widgets');
      assert.deepEqual(widgets?.shortNames, ['wdg']);
      assert.deepEqual(widgets?.categories, ['conformance']);
      assert.equal(widgets?.kind, 'Widget');
    }),
  'OpenAPI v3 has a PATCH with fieldValidation for each kind': async (api) => {
    // It comes as text/plain.
    const { paths } = JSON.parse(sees(await api.get('/openapi/v3'), 200).text) as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    // A new definition takes a moment to get there.
    const { serverRelativeURL } = paths['apis/apps/v1'] ?? { serverRelativeURL: '' };
    const document = sees(await api.get(serverRelativeURL), 200).body;
    const operations = document.paths as Record<string, { patch?: Json }>;
    const patch = operations['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.patch;
    assert.deepEqual(patch?.['x-kubernetes-group-version-kind'], {
      group: 'apps',
      kind: 'Deployment',
      version: 'v1',
    });
    assert.ok(
      ((patch?.parameters ?? []) as { name: string }[]).some(({ name }) => name === 'fieldValidation'),
    );
  },
  'OpenAPI v2 is there too': async (api) => {
    sees(await api.get('/openapi/v2'), 200, { swagger: '2.0' });
  },
  'a path that nothing serves is 404': async (api) => {
    isServedByNobody(await api.get('/apis/no.such.group/v1/things'));
  },
});
