import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApi, type TestApi } from './testing.ts';
import type { Obj } from './types.ts';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.close());

const claim = (name: string, storage: string): Obj => ({
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
});

interface Case {
  what: string;
  hard: Record<string, string>;
  path: string;
  /** Made before. */
  there?: Obj[];
  asked: Obj;
  says?: RegExp;
}

const CASES: Case[] = [
  {
    what: 'a number of objects that is used up',
    hard: { 'count/configmaps': '2' },
    path: 'configmaps',
    // The namespace has its own already.
    there: [{ metadata: { name: 'a' } }],
    asked: { metadata: { name: 'b' } },
    says: /^configmaps "b" is forbidden: exceeded quota: q, requested: count\/configmaps=1, used: count\/configmaps=\d, limited: count\/configmaps=2$/,
  },
  {
    what: 'storage that is used up',
    hard: { 'requests.storage': '3Gi', persistentvolumeclaims: '9' },
    path: 'persistentvolumeclaims',
    there: [claim('a', '2Gi')],
    asked: claim('b', '2Gi'),
    says: /requested: requests\.storage=2147483648, used: requests\.storage=2147483648, limited: requests\.storage=3Gi/,
  },
  {
    what: 'nothing where there is room',
    hard: { 'requests.storage': '4Gi' },
    path: 'persistentvolumeclaims',
    there: [claim('a', '2Gi')],
    asked: claim('b', '2Gi'),
  },
  {
    what: 'nothing of other kinds',
    hard: { secrets: '0' },
    path: 'configmaps',
    asked: { metadata: { name: 'a' } },
  },
];

describe('quotas', () => {
  for (const [index, { what, hard, path, there = [], asked, says }] of CASES.entries())
    it(`refuse ${what}`, async () => {
      const namespace = `/api/v1/namespaces/quota-${index}`;
      assert.equal(
        (await api.ask('POST', '/api/v1/namespaces', { metadata: { name: `quota-${index}` } })).code,
        201,
      );
      // What a controller makes in a cluster.
      if (path === 'configmaps')
        await api.ask('POST', `${namespace}/configmaps`, { metadata: { name: 'kube-root-ca.crt' } });
      for (const object of there)
        assert.equal((await api.ask('POST', `${namespace}/${path}`, object)).code, 201);
      const quota = { metadata: { name: 'q' }, spec: { hard } };
      assert.equal((await api.ask('POST', `${namespace}/resourcequotas`, quota)).code, 201);
      const answer = await api.ask('POST', `${namespace}/${path}`, asked);
      assert.equal(answer.code, says ? 403 : 201, answer.text);
      if (says) assert.match(answer.body.message ?? '', says);
    });
});
