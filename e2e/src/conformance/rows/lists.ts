import assert from 'node:assert/strict';
import { configMap, pendingPod } from '../objects.ts';
import { type Api, refuses, rows, sees } from '../table.ts';

/** Makes ConfigMaps a, b, c... with these labels besides that of the row. */
async function maps(api: Api, labels: Record<string, string>[]): Promise<void> {
  for (const [index, each] of labels.entries()) {
    const name = `${api.name}-${'abcdefgh'[index]}`;
    await api.made('configmaps', configMap(name, {}, { labels: { row: api.name, ...each } }));
  }
}

/** The last letters of the names that a selector finds among those of the row. */
async function selected(api: Api, selector: string): Promise<string> {
  const query = encodeURIComponent(`row=${api.name}${selector ? `,${selector}` : ''}`);
  const { body } = sees(await api.get(`${api.path('configmaps')}?labelSelector=${query}`), 200);
  return body.items.map(({ metadata }) => metadata.name.slice(-1)).join('');
}

/** LIST: selectors, pages, versions. */
export const lists = rows('list', {
  'a list bears the version of the moment, its items no kind': async (api) => {
    await maps(api, [{}]);
    const { body } = await api.get(`${api.path('configmaps')}?labelSelector=row%3D${api.name}`);
    assert.equal(body.kind, 'ConfigMapList');
    assert.equal(body.apiVersion, 'v1');
    assert.ok(
      BigInt(body.metadata.resourceVersion) >= BigInt(body.items[0]?.metadata.resourceVersion ?? '0'),
    );
    assert.equal(body.items[0]?.kind, undefined);
  },
  'an empty list has items, not null': async (api) => {
    const { body } = await api.get(`${api.path('configmaps')}?labelSelector=row%3D${api.name}`);
    assert.deepEqual(body.items, []);
  },
  'label selectors: =, ==, !=, in, notin, exists, not exists': async (api) => {
    await maps(api, [{ tier: 'web' }, { tier: 'db' }, {}]);
    const cases: [string, string][] = [
      ['', 'abc'],
      ['tier=web', 'a'],
      ['tier==web', 'a'],
      ['tier!=web', 'bc'],
      ['tier in (web,db)', 'ab'],
      ['tier notin (web)', 'bc'],
      ['tier', 'ab'],
      ['!tier', 'c'],
      ['tier,tier!=db', 'a'],
    ];
    for (const [selector, found] of cases) assert.equal(await selected(api, selector), found, selector);
  },
  'a bad label selector is 400': async (api) => {
    const answer = await api.get(`${api.path('configmaps')}?labelSelector=${encodeURIComponent('a in b')}`);
    refuses(answer, 400, 'BadRequest', /unable to parse requirement/);
  },
  'field selectors by name, also negated': async (api) => {
    await maps(api, [{}, {}]);
    const one = await api.get(`${api.path('configmaps')}?fieldSelector=metadata.name%3D${api.name}-a`);
    assert.deepEqual(
      one.body.items.map(({ metadata }) => metadata.name),
      [`${api.name}-a`],
    );
    const query = `labelSelector=row%3D${api.name}&fieldSelector=${encodeURIComponent(`metadata.name!=${api.name}-a`)}`;
    const other = await api.get(`${api.path('configmaps')}?${query}`);
    assert.deepEqual(
      other.body.items.map(({ metadata }) => metadata.name),
      [`${api.name}-b`],
    );
  },
  'an unknown field in a selector is 400': async (api) => {
    const answer = await api.get(`${api.path('configmaps')}?fieldSelector=spec.nothing%3D1`);
    refuses(answer, 400, 'BadRequest', /field label not supported|is not a known field selector/);
  },
  'pods are found by phase and node': async (api) => {
    await api.made('pods', pendingPod(api.name, { labels: { row: api.name } }));
    const found = async (field: string) => {
      const query = `labelSelector=row%3D${api.name}&fieldSelector=${encodeURIComponent(field)}`;
      return sees(await api.get(`${api.path('pods')}?${query}`), 200).body.items.length;
    };
    assert.equal(await found('status.phase=Pending'), 1);
    assert.equal(await found('status.phase!=Pending'), 0);
    assert.equal(await found('spec.nodeName='), 1);
    assert.equal(await found('spec.nodeName=other'), 0);
  },
  'secrets are found by type': async (api) => {
    await api.made('secrets', { metadata: { name: api.name }, type: 'example.com/a', data: {} });
    const query = `fieldSelector=${encodeURIComponent(`type=example.com/a,metadata.name=${api.name}`)}`;
    assert.equal((await api.get(`${api.path('secrets')}?${query}`)).body.items.length, 1);
  },
  'events are found by what they are about': async (api) => {
    const involvedObject = { kind: 'Pod', namespace: api.namespace, name: api.name, uid: `uid-${api.name}` };
    const event = {
      metadata: { name: api.name },
      involvedObject,
      reason: 'Test',
      message: 'x',
      type: 'Normal',
    };
    await api.made('events', event);
    const selector = `involvedObject.name=${api.name},involvedObject.kind=Pod,involvedObject.uid=uid-${api.name}`;
    const answer = await api.get(`${api.path('events')}?fieldSelector=${encodeURIComponent(selector)}`);
    assert.equal(sees(answer, 200).body.items.length, 1);
  },
  'pages: limit, continue, remainingItemCount, one version for all': async (api) => {
    await maps(api, [{}, {}, {}, {}, {}]);
    const query = `labelSelector=row%3D${api.name}&limit=2`;
    const names: string[] = [];
    const versions = new Set<string>();
    let next = '';
    for (let pages = 0; pages < 3; pages++) {
      const { body } = sees(
        await api.get(`${api.path('configmaps')}?${query}&continue=${encodeURIComponent(next)}`),
        200,
      );
      names.push(...body.items.map(({ metadata }) => metadata.name.slice(-1)));
      versions.add(body.metadata.resourceVersion);
      next = body.metadata.continue ?? '';
      // What came in between does not show on later pages.
      if (pages === 0)
        await api.made('configmaps', configMap(`${api.name}-z`, {}, { labels: { row: api.name } }));
    }
    assert.equal(next, '');
    assert.equal(names.join(''), 'abcde');
    assert.equal(versions.size, 1);
  },
  'pages of all objects count what is left': async (api) => {
    await maps(api, [{}, {}, {}]);
    const { body } = sees(await api.get(`${api.path('configmaps')}?limit=1`), 200);
    assert.ok((body.metadata.remainingItemCount ?? 0) >= 2, JSON.stringify(body.metadata));
  },
  'a continue that is none is 400': async (api) => {
    refuses(
      await api.get(`${api.path('configmaps')}?limit=1&continue=nonsense`),
      400,
      'BadRequest',
      /continue/,
    );
  },
  'a resourceVersion that is none is 400 or 422': async (api) => {
    const { code } = await api.get(`${api.path('configmaps')}?resourceVersion=new`);
    assert.ok(code === 400 || code === 422, String(code));
  },
  'a version of the future is 504 with cause ResourceVersionTooLarge': async (api) => {
    const { body } = await api.get(`${api.path('configmaps')}?limit=1`);
    const future = BigInt(body.metadata.resourceVersion) + 1_000_000n;
    const answer = await api.get(
      `${api.path('configmaps')}?resourceVersion=${future}&resourceVersionMatch=NotOlderThan`,
    );
    refuses(answer, 504, 'Timeout', /Too large resource version/, {
      causes: [{ reason: 'ResourceVersionTooLarge' }],
    });
  },
  'resourceVersionMatch=Exact shows what was there then': async (api) => {
    await maps(api, [{}, {}]);
    const path = `${api.path('configmaps')}?labelSelector=row%3D${api.name}`;
    const { resourceVersion } = (await api.get(path)).body.metadata;
    sees(await api.ask('DELETE', api.path('configmaps', `${api.name}-a`)), 200);
    await api.made('configmaps', configMap(`${api.name}-z`, {}, { labels: { row: api.name } }));
    const then = `${path}&resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`;
    const { body } = sees(await api.get(then), 200);
    assert.equal(body.metadata.resourceVersion, resourceVersion);
    assert.equal(body.items.map(({ metadata }) => metadata.name.slice(-1)).join(''), 'ab');
    const newer = sees(await api.get(then.replace('Exact', 'NotOlderThan')), 200).body;
    assert.equal(newer.items.map(({ metadata }) => metadata.name.slice(-1)).join(''), 'bz');
  },
  'resourceVersionMatch needs a version that it can match (422)': async (api) => {
    for (const query of [
      'resourceVersionMatch=Exact',
      'resourceVersionMatch=Exact&resourceVersion=0',
      'resourceVersionMatch=Newest&resourceVersion=1',
      'resourceVersionMatch=Exact&resourceVersion=1&watch=true&timeoutSeconds=1',
    ])
      refuses(await api.get(`${api.path('configmaps')}?${query}`), 422, 'Invalid', /resourceVersionMatch/);
  },
  'resourceVersion=0 is any version': async (api) => {
    sees(await api.get(`${api.path('configmaps')}?resourceVersion=0`), 200, { kind: 'ConfigMapList' });
  },
  'without a namespace all are listed': async (api) => {
    await maps(api, [{}]);
    const { body } = sees(await api.get(`/api/v1/configmaps?labelSelector=row%3D${api.name}`), 200);
    assert.equal(body.items.filter(({ metadata }) => metadata.namespace === api.namespace).length, 1);
  },
});
