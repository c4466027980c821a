import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTestApi, type TestApi } from './testing.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const MERGE = { type: 'application/merge-patch+json' };

let api: TestApi;
before(async () => {
  api = await startTestApi({ history: 20, bookmarkMs: 50 });
});
after(() => api.close());

let counter = 0;
async function make(labels?: Record<string, string>): Promise<{ name: string; rv: string }> {
  const name = `w-${++counter}`;
  const { metadata } = (await api.ask('POST', CONFIGMAPS, { metadata: { name, labels } })).body;
  return { name, rv: String(metadata?.resourceVersion) };
}

describe('a watch', () => {
  it('delivers what happened after its version, once and in order', async () => {
    const first = await make();
    await api.ask('PATCH', `${CONFIGMAPS}/${first.name}`, { data: { a: '1' } }, MERGE);
    const watch = await api.watch(`${CONFIGMAPS}?watch=1&resourceVersion=${first.rv}`);
    await api.ask('PATCH', `${CONFIGMAPS}/${first.name}`, { data: { a: '2' } }, MERGE);
    const gone = await api.ask('DELETE', `${CONFIGMAPS}/${first.name}`);
    assert.equal(gone.code, 200);
    const events = [await watch.next(), await watch.next(), await watch.next()];
    watch.close();
    assert.deepEqual(
      events.map((event) => event.type),
      ['MODIFIED', 'MODIFIED', 'DELETED'],
    );
    const versions = events.map((event) => Number(event.object.metadata.resourceVersion));
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );
    assert.ok((versions[0] as number) > Number(first.rv));
  });

  it('starts with what exists when no version is given, and marks the end of it when asked', async () => {
    const { name } = await make({ set: 'initial' });
    const watch = await api.watch(
      `${CONFIGMAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&labelSelector=set%3Dinitial`,
    );
    const [added, mark] = [await watch.next(), await watch.next()];
    watch.close();
    assert.equal(added.type, 'ADDED');
    assert.equal(added.object.metadata.name, name);
    assert.equal(mark.type, 'BOOKMARK');
    assert.equal(mark.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
  });

  it('turns a change of the selection into ADDED and DELETED', async () => {
    const { name, rv } = await make({ colour: 'red' });
    const watch = await api.watch(`${CONFIGMAPS}?watch=1&resourceVersion=${rv}&labelSelector=colour%3Dblue`);
    await api.ask('PATCH', `${CONFIGMAPS}/${name}`, { metadata: { labels: { colour: 'blue' } } }, MERGE);
    await api.ask('PATCH', `${CONFIGMAPS}/${name}`, { metadata: { labels: { colour: 'red' } } }, MERGE);
    const [added, deleted] = [await watch.next(), await watch.next()];
    watch.close();
    assert.deepEqual([added.type, deleted.type], ['ADDED', 'DELETED']);
    // The old object, with the version of the change that took it out.
    assert.equal(deleted.object.metadata.labels?.colour, 'blue');
    assert.ok(
      Number(deleted.object.metadata.resourceVersion) > Number(added.object.metadata.resourceVersion),
    );
  });

  it('gets bookmarks', async () => {
    const { rv } = await make();
    const watch = await api.watch(`${CONFIGMAPS}?watch=1&resourceVersion=${rv}&allowWatchBookmarks=true`);
    const event = await watch.next();
    watch.close();
    assert.equal(event.type, 'BOOKMARK');
    assert.ok(Number(event.object.metadata.resourceVersion) >= Number(rv));
  });

  it('ends after timeoutSeconds', async () => {
    const watch = await api.watch(
      `${CONFIGMAPS}?watch=1&resourceVersion=${api.server.store.rv}&timeoutSeconds=1`,
    );
    await watch.ended;
  });

  it('resumes across a restart of the server', async () => {
    const { name, rv } = await make();
    await api.ask('PATCH', `${CONFIGMAPS}/${name}`, { data: { b: '1' } }, MERGE);
    await api.restart();
    const watch = await api.watch(`${CONFIGMAPS}?watch=1&resourceVersion=${rv}`);
    const event = await watch.next();
    watch.close();
    assert.deepEqual([event.type, event.object.metadata.name], ['MODIFIED', name]);
  });

  it('answers a version that is too old with one ERROR of code 410, and a list with HTTP 410', async () => {
    const { name, rv } = await make();
    for (let round = 0; round < 40; round++)
      await api.ask('PATCH', `${CONFIGMAPS}/${name}`, { data: { round: String(round) } }, MERGE);
    const watch = await api.watch(`${CONFIGMAPS}?watch=1&resourceVersion=${rv}`);
    const event = await watch.next();
    assert.equal(event.type, 'ERROR');
    assert.equal((event.object as unknown as { code: number }).code, 410);
    await watch.ended;
    const list = await api.ask('GET', `${CONFIGMAPS}?resourceVersion=${rv}&resourceVersionMatch=Exact`);
    assert.equal(list.code, 410);
    assert.equal(list.body.reason, 'Expired');
  });

  it('carries Tables when asked', async () => {
    const { name, rv } = await make();
    const first = await api.ask('GET', `${CONFIGMAPS}/${name}`, undefined, {
      headers: { Accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' },
    });
    assert.equal(first.body.kind, 'Table');
    assert.ok(rv);
    assert.deepEqual(
      (first.body.columnDefinitions as { name: string }[]).map((column) => column.name),
      ['Name', 'Data', 'Age'],
    );
  });
});

describe('a list', () => {
  it('comes in chunks', async () => {
    for (let index = 0; index < 3; index++) await make({ chunk: 'yes' });
    const names: string[] = [];
    let token = '';
    do {
      const page = await api.ask(
        'GET',
        `${CONFIGMAPS}?limit=2&labelSelector=chunk${token ? `&continue=${token}` : ''}`,
      );
      names.push(...(page.body.items ?? []).map((item) => item.metadata.name));
      token = String(page.body.metadata?.continue ?? '');
    } while (token);
    assert.equal(new Set(names).size, 3);
  });

  const selectors: [selector: string, matches: number][] = [
    ['a=1', 1],
    ['a==1', 1],
    ['a!=1,sel', 1],
    ['a in (1,2)', 2],
    ['a notin (1),sel', 1],
    ['sel,!b', 1],
    ['b', 1],
  ];
  for (const [selector, count] of selectors) {
    it(`selects by ${selector}`, async () => {
      if (counter >= 0 && !(await api.ask('GET', `${CONFIGMAPS}/sel-1`)).body.data) {
        await api.ask('POST', CONFIGMAPS, {
          metadata: { name: 'sel-1', labels: { a: '1', sel: 'x' } },
          data: { x: 'y' },
        });
        await api.ask('POST', CONFIGMAPS, {
          metadata: { name: 'sel-2', labels: { a: '2', b: '', sel: 'x' } },
        });
      }
      const answer = await api.ask('GET', `${CONFIGMAPS}?labelSelector=${encodeURIComponent(selector)}`);
      assert.equal(answer.body.items?.length, count, answer.text);
    });
  }

  it('refuses selectors it cannot read', async () => {
    for (const query of ['labelSelector=a%20b%20c', 'fieldSelector=spec.nope%3D1']) {
      assert.equal((await api.ask('GET', `${CONFIGMAPS}?${query}`)).code, 400, query);
    }
  });

  it('whose time is over while its reader has not read all harms nobody', async () => {
    const { admin } = api;
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const path = `${CONFIGMAPS}?watch=1&timeoutSeconds=1`;
      request({ host: '127.0.0.1', port: api.port, path, ...admin, agent: false }, resolve)
        .on('error', reject)
        .end();
    });
    answer.pause();
    // More than the sockets on both sides hold.
    const data = { a: 'x'.repeat(900_000) };
    for (let i = 0; i < 30; i++) {
      const { code } = await api.ask('POST', CONFIGMAPS, { metadata: { name: `large-${i}` }, data });
      assert.equal(code, 201);
    }
    await sleep(1200);
    assert.equal((await api.ask('DELETE', CONFIGMAPS)).code, 200);
    answer.destroy();
  });
});
