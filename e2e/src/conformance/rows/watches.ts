import assert from 'node:assert/strict';
import { configMap } from '../objects.ts';
import { type Api, refuses, rows, type Shown, Skipped, sees } from '../table.ts';

function watchPath(api: Api, query: Record<string, string>): string {
  const parameters = new URLSearchParams({ watch: 'true', ...query });
  return `${api.path('configmaps')}?${parameters}`;
}

async function versionNow(api: Api): Promise<string> {
  const { body } = await api.get(`${api.path('configmaps')}?labelSelector=row%3D${api.name}`);
  return body.metadata.resourceVersion;
}

function labelled(api: Api, name: string, labels: Record<string, string> = {}): Promise<Shown> {
  return api.made('configmaps', configMap(name, { a: '1' }, { labels: { row: api.name, ...labels } }));
}

/** WATCH: from a version everything after it, once, in order. */
export const watches = rows('watch', {
  'from a version: each change after it, once, in order': async (api) => {
    await labelled(api, `${api.name}-before`);
    const resourceVersion = await versionNow(api);
    await labelled(api, api.name);
    sees(await api.patch('merge', api.path('configmaps', api.name), { data: { a: '2' } }), 200);
    const stream = await api.watch(watchPath(api, { resourceVersion, labelSelector: `row=${api.name}` }));
    sees(await api.ask('DELETE', api.path('configmaps', api.name)), 200);
    const seen: string[] = [];
    let last = BigInt(resourceVersion);
    for (let count = 0; count < 3; count++) {
      const event = await stream.change();
      assert.ok(event, 'the watch ended');
      seen.push(`${event.type} ${event.object.metadata.name} ${(event.object.data as { a: string }).a}`);
      const version = BigInt(event.object.metadata.resourceVersion);
      assert.ok(version > last, `versions must rise: ${version} after ${last}`);
      last = version;
    }
    assert.deepEqual(seen, [`ADDED ${api.name} 1`, `MODIFIED ${api.name} 2`, `DELETED ${api.name} 2`]);
  },
  'without a version: first what is there, as ADDED': async (api) => {
    await labelled(api, `${api.name}-a`);
    await labelled(api, `${api.name}-b`);
    const stream = await api.watch(watchPath(api, { labelSelector: `row=${api.name}` }));
    const names = [
      (await stream.change())?.object.metadata.name,
      (await stream.change())?.object.metadata.name,
    ];
    assert.deepEqual(names.sort(), [`${api.name}-a`, `${api.name}-b`]);
    await labelled(api, `${api.name}-c`);
    assert.equal((await stream.change())?.object.metadata.name, `${api.name}-c`);
  },
  'an object that comes to match or ceases to is ADDED or DELETED': async (api) => {
    const made = await labelled(api, api.name);
    const path = api.path('configmaps', api.name);
    const selector = {
      resourceVersion: made.metadata.resourceVersion,
      labelSelector: `row=${api.name},on=yes`,
    };
    const stream = await api.watch(watchPath(api, selector));
    const on = sees(await api.patch('merge', path, { metadata: { labels: { on: 'yes' } } }), 200).body;
    const added = await stream.change();
    assert.equal(added?.type, 'ADDED');
    assert.equal(added?.object.metadata.resourceVersion, on.metadata.resourceVersion);
    const off = sees(await api.patch('merge', path, { metadata: { labels: { on: 'no' } } }), 200).body;
    const deleted = await stream.change();
    assert.equal(deleted?.type, 'DELETED');
    // It shows what matched last, with the version of the change.
    assert.equal(deleted?.object.metadata.labels?.on, 'yes');
    assert.equal(deleted?.object.metadata.resourceVersion, off.metadata.resourceVersion);
  },
  'one object by its name': async (api) => {
    const resourceVersion = await versionNow(api);
    const stream = await api.watch(
      watchPath(api, { resourceVersion, fieldSelector: `metadata.name=${api.name}-b` }),
    );
    await labelled(api, `${api.name}-a`);
    await labelled(api, `${api.name}-b`);
    assert.equal((await stream.change())?.object.metadata.name, `${api.name}-b`);
  },
  'timeoutSeconds ends it': async (api) => {
    const stream = await api.watch(
      watchPath(api, {
        resourceVersion: await versionNow(api),
        timeoutSeconds: '1',
        labelSelector: 'row=nothing',
      }),
    );
    assert.equal(await stream.change(10_000), undefined);
  },
  'a bookmark ends the initial events, where they are asked for': async (api) => {
    await labelled(api, api.name);
    const query = {
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
      labelSelector: `row=${api.name}`,
    };
    const refusal = await api.get(watchPath(api, { ...query, timeoutSeconds: '1' }));
    if (refusal.code === 422) throw new Skipped('the feature WatchList is off here');
    const stream = await api.watch(watchPath(api, query));
    const first = await stream.next();
    assert.equal(first?.type, 'ADDED');
    const bookmark = await stream.next();
    assert.equal(bookmark?.type, 'BOOKMARK');
    assert.equal(bookmark?.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
    assert.equal(bookmark?.object.kind, 'ConfigMap');
    assert.ok(bookmark?.object.metadata.resourceVersion);
  },
  'sendInitialEvents needs resourceVersionMatch (422)': async (api) => {
    const answer = await api.get(watchPath(api, { sendInitialEvents: 'true', timeoutSeconds: '1' }));
    refuses(answer, 422, 'Invalid', /sendInitialEvents/);
  },
  'a version that is no longer kept is one ERROR event of code 410': async (api) => {
    const stream = await api.watch(watchPath(api, { resourceVersion: '1', timeoutSeconds: '5' }));
    const event = await stream.next();
    if (event && event.type !== 'ERROR') throw new Skipped('the history here goes back to the beginning');
    assert.equal(event?.object.kind, 'Status');
    assert.equal(event?.object.code, 410);
    assert.match(event?.object.reason ?? '', /^(Expired|Gone)$/);
    assert.equal(await stream.next(), undefined, 'the watch must end');
  },
  'a version that is none is refused': async (api) => {
    const { code } = await api.get(watchPath(api, { resourceVersion: 'new', timeoutSeconds: '1' }));
    // Which code it is differs from one form of the list to the next.
    assert.ok([400, 422, 500].includes(code), String(code));
  },
  'a bad selector is 400': async (api) => {
    refuses(await api.get(watchPath(api, { labelSelector: 'a in b' })), 400, 'BadRequest');
  },
  'watch=true at the path of one object is a plain get': async (api) => {
    await labelled(api, api.name);
    sees(await api.get(`${api.path('configmaps', api.name)}?watch=true`), 200, { kind: 'ConfigMap' });
  },
});
