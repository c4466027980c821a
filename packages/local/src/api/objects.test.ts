import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApi, type TestApi } from './testing.ts';
import type { KubeObject, Obj } from './types.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
const ROLES = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles';

let api: TestApi;
before(async () => {
  api = await startTestApi();
});
after(() => api.close());

let counter = 0;
async function makeConfigMap(more: Obj = {}): Promise<KubeObject> {
  const name = `cm-${++counter}`;
  const { metadata, ...rest } = more as { metadata?: Obj };
  const answer = await api.ask('POST', CONFIGMAPS, {
    metadata: { name, ...metadata },
    data: { a: '1' },
    ...rest,
  });
  assert.equal(answer.code, 201, answer.text);
  return answer.body as unknown as KubeObject;
}

function deployment(name: string): Obj {
  return {
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'a', image: 'x:1' }] } },
    },
  };
}

describe('creating', () => {
  it('sets the system fields and ignores those of the body', async () => {
    const { metadata } = await makeConfigMap({
      metadata: { uid: 'mine', creationTimestamp: '2000-01-01T00:00:00Z' },
    });
    assert.notEqual(metadata.uid, 'mine');
    assert.notEqual(metadata.creationTimestamp, '2000-01-01T00:00:00Z');
    assert.match(metadata.resourceVersion ?? '', /^\d+$/);
    assert.equal(metadata.generation, undefined);
  });

  it('makes a name from generateName', async () => {
    const answer = await api.ask('POST', CONFIGMAPS, { metadata: { generateName: 'gen-' } });
    assert.match(String(answer.body.metadata?.name), /^gen-[a-z0-9]{5}$/);
  });

  const refused: [
    what: string,
    path: string,
    body: unknown,
    code: number,
    reason: string,
    message: RegExp,
  ][] = [
    [
      'an existing name',
      CONFIGMAPS,
      { metadata: { name: 'taken' } },
      409,
      'AlreadyExists',
      /configmaps "taken" already exists/,
    ],
    [
      'a bad name',
      CONFIGMAPS,
      { metadata: { name: 'A_B' } },
      422,
      'Invalid',
      /metadata.name: Invalid value: "A_B"/,
    ],
    ['no name', CONFIGMAPS, { metadata: {} }, 422, 'Invalid', /name or generateName is required/],
    [
      'another kind',
      CONFIGMAPS,
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } },
      400,
      'BadRequest',
      /Secret/,
    ],
    [
      'another version',
      CONFIGMAPS,
      { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'x' } },
      400,
      'BadRequest',
      /API version/,
    ],
    [
      'another namespace',
      CONFIGMAPS,
      { metadata: { name: 'x', namespace: 'kube-system' } },
      400,
      'BadRequest',
      /namespace/,
    ],
    [
      'a resourceVersion',
      CONFIGMAPS,
      { metadata: { name: 'x', resourceVersion: '5' } },
      400,
      'BadRequest',
      /resourceVersion/,
    ],
    [
      'a missing namespace',
      '/api/v1/namespaces/none/configmaps',
      { metadata: { name: 'x' } },
      404,
      'NotFound',
      /namespaces "none" not found/,
    ],
    [
      'a wrong type',
      DEPLOYMENTS,
      { ...deployment('w'), spec: { replicas: 'two' } },
      400,
      'BadRequest',
      /cannot unmarshal string/,
    ],
    ['text instead of JSON', CONFIGMAPS, 'nonsense', 400, 'BadRequest', /not JSON/],
    [
      'a selector that misses its template',
      DEPLOYMENTS,
      {
        ...deployment('m'),
        spec: { ...(deployment('m').spec as Obj), selector: { matchLabels: { app: 'other' } } },
      },
      422,
      'Invalid',
      /does not match template/,
    ],
    [
      'a lease time without microseconds',
      LEASES,
      { metadata: { name: 'l' }, spec: { renewTime: '2024-01-01T00:00:00.123Z' } },
      400,
      'BadRequest',
      /parsing time/,
    ],
    [
      'a pod without a service account',
      '/api/v1/namespaces/default/pods',
      { metadata: { name: 'p' }, spec: { containers: [{ name: 'a', image: 'x' }] } },
      403,
      'Forbidden',
      /serviceaccount "default" not found/,
    ],
  ];
  for (const [what, path, body, code, reason, message] of refused) {
    it(`refuses ${what}`, async () => {
      await api.ask('POST', CONFIGMAPS, { metadata: { name: 'taken' } });
      const answer = await api.ask('POST', path, body);
      assert.equal(answer.code, code, answer.text);
      assert.equal(answer.body.kind, 'Status');
      assert.equal(answer.body.reason, reason);
      assert.match(answer.body.message ?? '', message);
    });
  }

  it('writes nothing on a dry run', async () => {
    const answer = await api.ask('POST', `${CONFIGMAPS}?dryRun=All`, { metadata: { name: 'dry' } });
    assert.equal(answer.code, 201);
    assert.equal((await api.ask('GET', `${CONFIGMAPS}/dry`)).code, 404);
  });

  it('treats unknown fields as fieldValidation says', async () => {
    const body = (name: string) => ({ metadata: { name }, data: {}, extra: 1 });
    const strict = await api.ask('POST', `${CONFIGMAPS}?fieldValidation=Strict`, body('strict'));
    assert.equal(strict.code, 400);
    assert.match(strict.body.message ?? '', /strict decoding error: unknown field "extra"/);
    const warned = await api.ask('POST', CONFIGMAPS, body('warned'));
    assert.match(String(warned.headers.warning), /299 - "unknown field \\"extra\\""/);
    assert.equal(
      (await api.ask('POST', `${CONFIGMAPS}?fieldValidation=Ignore`, body('ignored'))).headers.warning,
      undefined,
    );
  });
});

describe('updating', () => {
  it('keeps the version when nothing changes, and raises it otherwise', async () => {
    const object = await makeConfigMap();
    const path = `${CONFIGMAPS}/${object.metadata.name}`;
    const again = await api.ask('PUT', path, object);
    assert.equal(again.body.metadata?.resourceVersion, object.metadata.resourceVersion);
    const changed = await api.ask('PUT', path, { ...object, data: { a: '2' } });
    assert.ok(Number(changed.body.metadata?.resourceVersion) > Number(object.metadata.resourceVersion));
  });

  it('refuses a stale version and another uid with 409', async () => {
    const object = await makeConfigMap();
    const path = `${CONFIGMAPS}/${object.metadata.name}`;
    await api.ask('PUT', path, { ...object, data: { a: '2' } });
    const stale = await api.ask('PUT', path, { ...object, data: { a: '3' } });
    assert.equal(stale.code, 409);
    assert.equal(stale.body.reason, 'Conflict');
    assert.match(stale.body.message ?? '', /the object has been modified/);
    const { resourceVersion: _gone, ...metadata } = object.metadata;
    assert.equal(
      (await api.ask('PUT', path, { ...object, metadata: { ...metadata, uid: 'other' } })).code,
      409,
    );
  });

  it('creates by PUT what Kubernetes creates by PUT, and nothing else', async () => {
    const lease = {
      metadata: { name: 'put' },
      spec: { holderIdentity: 'a', renewTime: '2024-01-01T00:00:00.123456Z' },
    };
    assert.equal((await api.ask('PUT', `${LEASES}/put`, lease)).code, 201);
    assert.equal((await api.ask('PUT', `${LEASES}/put`, lease)).code, 422);
    assert.equal((await api.ask('PUT', `${ROLES}/put`, { metadata: { name: 'put' }, rules: [] })).code, 201);
    assert.equal((await api.ask('PUT', `${CONFIGMAPS}/put`, { metadata: { name: 'put' } })).code, 404);
    assert.equal((await api.ask('PUT', `${DEPLOYMENTS}/put`, deployment('put'))).code, 404);
  });

  it('moves generation on spec and annotations of a Deployment, not on labels or status', async () => {
    await api.ask('POST', DEPLOYMENTS, deployment('gen'));
    const patch = async (body: Obj, sub = '') => {
      const answer = await api.ask('PATCH', `${DEPLOYMENTS}/gen${sub}`, body, {
        type: 'application/merge-patch+json',
      });
      assert.equal(answer.code, 200, answer.text);
      return answer.body as unknown as KubeObject;
    };
    assert.equal((await patch({ metadata: { labels: { a: 'b' } } })).metadata.generation, 1);
    assert.equal((await patch({ metadata: { annotations: { a: 'b' } } })).metadata.generation, 2);
    assert.equal((await patch({ spec: { replicas: 3 } })).metadata.generation, 3);
    const status = await patch({ status: { replicas: 3 }, spec: { replicas: 9 } }, '/status');
    assert.equal(status.metadata.generation, 3);
    assert.deepEqual(status.status, { replicas: 3 });
    assert.equal((status.spec as Obj).replicas, 3);
    assert.deepEqual((await patch({ status: { replicas: 7 } })).status, { replicas: 3 });
  });

  it('scales', async () => {
    await api.ask('POST', DEPLOYMENTS, deployment('sc'));
    const scale = await api.ask('GET', `${DEPLOYMENTS}/sc/scale`);
    assert.equal(scale.body.kind, 'Scale');
    assert.deepEqual((scale.body.status as Obj).selector, 'app=sc');
    const put = await api.ask('PUT', `${DEPLOYMENTS}/sc/scale`, { ...scale.body, spec: { replicas: 4 } });
    assert.deepEqual(put.body.spec, { replicas: 4 });
    const patched = await api.ask(
      'PATCH',
      `${DEPLOYMENTS}/sc/scale`,
      { spec: { replicas: 5 } },
      { type: 'application/merge-patch+json' },
    );
    assert.deepEqual(patched.body.spec, { replicas: 5 });
    const object = await api.ask('GET', `${DEPLOYMENTS}/sc`);
    assert.equal((object.body.spec as Obj).replicas, 5);
    assert.equal(object.body.metadata?.generation, 3);
    const negative = await api.ask(
      'PATCH',
      `${DEPLOYMENTS}/sc/scale`,
      { spec: { replicas: -1 } },
      { type: 'application/merge-patch+json' },
    );
    assert.equal(negative.code, 422);
  });

  it('refuses to change what is fixed', async () => {
    await api.ask('POST', DEPLOYMENTS, deployment('fix'));
    const answer = await api.ask(
      'PATCH',
      `${DEPLOYMENTS}/fix`,
      { spec: { selector: { matchLabels: { app: 'z' } }, template: { metadata: { labels: { app: 'z' } } } } },
      { type: 'application/merge-patch+json' },
    );
    assert.equal(answer.code, 422);
    assert.match(answer.body.message ?? '', /spec.selector: Invalid value: .*field is immutable/);
  });
});

describe('patching', () => {
  it('answers 422 to a failing test and 409 to a stale version', async () => {
    const object = await makeConfigMap();
    const path = `${CONFIGMAPS}/${object.metadata.name}`;
    const failed = await api.ask('PATCH', path, [{ op: 'test', path: '/data/a', value: 'x' }], {
      type: 'application/json-patch+json',
    });
    assert.equal(failed.code, 422);
    await api.ask('PATCH', path, [{ op: 'replace', path: '/data/a', value: '2' }], {
      type: 'application/json-patch+json',
    });
    const stale = await api.ask(
      'PATCH',
      path,
      { metadata: { resourceVersion: object.metadata.resourceVersion }, data: { a: '3' } },
      { type: 'application/merge-patch+json' },
    );
    assert.equal(stale.code, 409);
    assert.equal((await api.ask('PATCH', path, {}, { type: 'text/x' })).code, 415);
  });

  it('merges lists of built-in kinds by key, new items first', async () => {
    await api.ask('POST', DEPLOYMENTS, deployment('smp'));
    const patch = {
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'b', image: 'y:1' },
              { name: 'a', env: [{ name: 'E', value: '1' }] },
            ],
          },
        },
      },
    };
    const answer = await api.ask('PATCH', `${DEPLOYMENTS}/smp`, patch, {
      type: 'application/strategic-merge-patch+json',
    });
    assert.equal(answer.code, 200, answer.text);
    const template = (answer.body.spec as { template: { spec: { containers: Obj[] } } }).template;
    assert.deepEqual(
      template.spec.containers.map((one) => [one.name, one.image]),
      [
        ['b', 'y:1'],
        ['a', 'x:1'],
      ],
    );
    const removal = { spec: { template: { spec: { containers: [{ name: 'b', $patch: 'delete' }] } } } };
    const after = await api.ask('PATCH', `${DEPLOYMENTS}/smp`, removal, {
      type: 'application/strategic-merge-patch+json',
    });
    assert.equal(
      (after.body.spec as typeof answer.body.spec & { template: { spec: { containers: Obj[] } } }).template
        .spec.containers.length,
      1,
    );
  });
});

describe('deleting', () => {
  it('waits for finalizers', async () => {
    const object = await makeConfigMap({ metadata: { finalizers: ['example.com/wait'] } });
    const path = `${CONFIGMAPS}/${object.metadata.name}`;
    const deleted = await api.ask('DELETE', path);
    assert.equal(deleted.code, 200);
    assert.ok(deleted.body.metadata?.deletionTimestamp);
    const added = await api.ask(
      'PATCH',
      path,
      { metadata: { finalizers: ['example.com/wait', 'example.com/more'] } },
      { type: 'application/merge-patch+json' },
    );
    assert.equal(added.code, 422);
    assert.equal(
      (
        await api.ask(
          'PATCH',
          path,
          { metadata: { finalizers: null } },
          { type: 'application/merge-patch+json' },
        )
      ).code,
      200,
    );
    assert.equal((await api.ask('GET', path)).code, 404);
  });

  it('adds the finalizer of a propagation policy', async () => {
    for (const [policy, finalizer] of [
      ['Foreground', 'foregroundDeletion'],
      ['Orphan', 'orphan'],
    ] as const) {
      const object = await makeConfigMap();
      const answer = await api.ask('DELETE', `${CONFIGMAPS}/${object.metadata.name}`, {
        propagationPolicy: policy,
      });
      assert.deepEqual(answer.body.metadata?.finalizers, [finalizer]);
    }
  });

  it('checks preconditions', async () => {
    const object = await makeConfigMap();
    const path = `${CONFIGMAPS}/${object.metadata.name}`;
    assert.equal((await api.ask('DELETE', path, { preconditions: { uid: 'other' } })).code, 409);
    assert.equal((await api.ask('DELETE', path, { preconditions: { resourceVersion: '1' } })).code, 409);
    const answer = await api.ask('DELETE', path, { preconditions: { uid: object.metadata.uid } });
    assert.equal(answer.body.status, 'Success');
  });

  it('deletes a collection by selector', async () => {
    const one = await makeConfigMap({ metadata: { labels: { set: 'x' } } });
    const two = await makeConfigMap();
    const answer = await api.ask('DELETE', `${CONFIGMAPS}?labelSelector=set%3Dx`);
    assert.deepEqual(
      answer.body.items?.map((item) => item.metadata.name),
      [one.metadata.name],
    );
    assert.equal((await api.ask('GET', `${CONFIGMAPS}/${two.metadata.name}`)).code, 200);
  });

  it('gives a running pod its grace period', async () => {
    await api.ask('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const pods = '/api/v1/namespaces/default/pods';
    const pod = {
      metadata: { name: 'grace' },
      spec: { terminationGracePeriodSeconds: 12, containers: [{ name: 'a', image: 'x' }] },
    };
    assert.equal((await api.ask('POST', pods, pod)).code, 201);
    const bound = await api.ask('POST', `${pods}/grace/binding`, {
      target: { kind: 'Node', name: 'node-1' },
    });
    assert.equal(bound.code, 201, bound.text);
    const first = await api.ask('DELETE', `${pods}/grace`);
    assert.equal(first.body.metadata?.deletionGracePeriodSeconds, 12);
    const shorter = await api.ask('DELETE', `${pods}/grace`, { gracePeriodSeconds: 3 });
    assert.equal(shorter.body.metadata?.deletionGracePeriodSeconds, 3);
    await api.ask('DELETE', `${pods}/grace`, { gracePeriodSeconds: 0 });
    assert.equal((await api.ask('GET', `${pods}/grace`)).code, 404);
  });

  it('keeps a namespace until it is finalized, and lets nothing new in', async () => {
    await api.ask('POST', '/api/v1/namespaces', { metadata: { name: 'leaving' } });
    const deleted = await api.ask('DELETE', '/api/v1/namespaces/leaving');
    assert.equal((deleted.body.status as Obj).phase, 'Terminating');
    const late = await api.ask('POST', '/api/v1/namespaces/leaving/configmaps', {
      metadata: { name: 'late' },
    });
    assert.equal(late.code, 403);
    assert.match(late.text, /NamespaceTerminating/);
    const object = (await api.ask('GET', '/api/v1/namespaces/leaving')).body;
    const finalized = await api.ask('PUT', '/api/v1/namespaces/leaving/finalize', {
      ...object,
      spec: { finalizers: [] },
    });
    assert.equal(finalized.code, 200, finalized.text);
    assert.equal((await api.ask('GET', '/api/v1/namespaces/leaving')).code, 404);
  });
});

describe('services', () => {
  const services = '/api/v1/namespaces/default/services';
  it('allocate an address, keep it, and give it back', async () => {
    const body = { metadata: { name: 's1' }, spec: { ports: [{ port: 80 }] } };
    const created = (await api.ask('POST', services, body)).body as unknown as KubeObject;
    const spec = created.spec as Obj;
    assert.match(String(spec.clusterIP), /^10\.96\.\d+\.\d+$/);
    assert.deepEqual(spec.ports, [{ port: 80, protocol: 'TCP', targetPort: 80 }]);
    const put = await api.ask('PUT', `${services}/s1`, {
      ...body,
      metadata: { name: 's1', resourceVersion: created.metadata.resourceVersion },
      spec: { ports: [{ port: 81 }] },
    });
    assert.equal((put.body.spec as Obj).clusterIP, spec.clusterIP);
    const taken = await api.ask('POST', services, {
      metadata: { name: 's2' },
      spec: { clusterIP: spec.clusterIP, ports: [{ port: 1 }] },
    });
    assert.equal(taken.code, 422);
    await api.ask('DELETE', `${services}/s1`);
    assert.equal(
      (
        await api.ask('POST', services, {
          metadata: { name: 's2' },
          spec: { clusterIP: spec.clusterIP, ports: [{ port: 1 }] },
        })
      ).code,
      201,
    );
  });
});

describe('persistence', () => {
  it('has everything after a restart, and carries on counting', async () => {
    const object = await makeConfigMap();
    const version = api.server.store.rv;
    await api.restart();
    const read = await api.ask('GET', `${CONFIGMAPS}/${object.metadata.name}`);
    assert.deepEqual(read.body, object);
    const next = await makeConfigMap();
    assert.equal(Number(next.metadata.resourceVersion), version + 1);
  });
});
