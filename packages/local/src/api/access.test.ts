import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startTestApi, type TestApi } from './testing.ts';
import type { Obj } from './types.ts';

const NS = '/api/v1/namespaces/default';
const RBAC = '/apis/rbac.authorization.k8s.io/v1';

let api: TestApi;
let token: string;
before(async () => {
  api = await startTestApi();
  await api.ask('POST', `${NS}/serviceaccounts`, { metadata: { name: 'app' } });
  token = await newToken('app');
});
after(() => api.close());

async function newToken(account: string, spec: Obj = {}): Promise<string> {
  const answer = await api.ask('POST', `${NS}/serviceaccounts/${account}/token`, { spec });
  assert.equal(answer.code, 201, answer.text);
  return String((answer.body.status as Obj).token);
}

async function role(name: string, rules: Obj[]): Promise<void> {
  const roles = `${RBAC}/namespaces/default`;
  assert.equal((await api.ask('POST', `${roles}/roles`, { metadata: { name }, rules })).code, 201);
  const binding = {
    metadata: { name },
    roleRef: { kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name: 'app', namespace: 'default' }],
  };
  assert.equal((await api.ask('POST', `${roles}/rolebindings`, binding)).code, 201);
}

describe('authentication', () => {
  it('knows the administrator by certificate and an account by token', async () => {
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const admin = await api.ask('POST', path, {});
    assert.equal(((admin.body.status as Obj).userInfo as Obj).username, 'kubernetes-admin');
    const account = await api.ask('POST', path, {}, { token });
    assert.equal(
      ((account.body.status as Obj).userInfo as Obj).username,
      'system:serviceaccount:default:app',
    );
  });

  it('refuses a bad token, and lets strangers see only health and version', async () => {
    assert.equal((await api.ask('GET', '/api', undefined, { token: 'nonsense' })).code, 401);
    assert.equal((await api.ask('GET', '/readyz', undefined, { token: '' })).text, 'ok');
    assert.equal((await api.ask('GET', '/version', undefined, { token: '' })).code, 200);
    assert.equal((await api.ask('GET', '/api', undefined, { token: '' })).code, 403);
    assert.equal((await api.ask('GET', `${NS}/pods`, undefined, { token: '' })).code, 403);
  });

  it('binds a token to a pod', async () => {
    const pod = {
      metadata: { name: 'bound' },
      spec: { serviceAccountName: 'app', containers: [{ name: 'a', image: 'x' }] },
    };
    await api.ask('POST', `${NS}/pods`, pod);
    const bound = await newToken('app', {
      boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'bound' },
      expirationSeconds: 600,
    });
    const review = await api.ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      spec: { token: bound },
    });
    const status = review.body.status as { authenticated: boolean; user: { extra: Obj } };
    assert.equal(status.authenticated, true);
    assert.deepEqual(status.user.extra['authentication.kubernetes.io/pod-name'], ['bound']);
    assert.equal(
      (await api.ask('POST', `${NS}/serviceaccounts/app/token`, { spec: { expirationSeconds: 10 } })).code,
      422,
    );
  });

  it('mounts the token into a pod', async () => {
    const { body } = await api.ask('GET', `${NS}/pods/bound`);
    const spec = body.spec as { containers: { volumeMounts: Obj[] }[]; volumes: Obj[] };
    assert.equal(
      spec.containers[0]?.volumeMounts[0]?.mountPath,
      '/var/run/secrets/kubernetes.io/serviceaccount',
    );
    assert.match(String(spec.volumes[0]?.name), /^kube-api-access-/);
  });

  it('lets the administrator act as another, and nobody else', async () => {
    const asApp = { headers: { 'Impersonate-User': 'system:serviceaccount:default:app' } };
    assert.equal((await api.ask('GET', `${NS}/secrets`, undefined, asApp)).code, 403);
    const refused = await api.ask('GET', `${NS}/pods`, undefined, {
      token,
      headers: { 'Impersonate-User': 'kubernetes-admin', 'Impersonate-Group': 'system:masters' },
    });
    assert.equal(refused.code, 403);
    assert.match(refused.body.message ?? '', /cannot impersonate/);
  });
});

describe('authorization', () => {
  it('allows what a rule allows, and says what it refuses', async () => {
    await role('reader', [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'] }]);
    assert.equal((await api.ask('GET', `${NS}/configmaps`, undefined, { token })).code, 200);
    const refused = await api.ask('POST', `${NS}/configmaps`, { metadata: { name: 'x' } }, { token });
    assert.equal(refused.code, 403);
    assert.equal(
      refused.body.message,
      'configmaps is forbidden: User "system:serviceaccount:default:app" cannot create resource "configmaps" in API group "" in the namespace "default"',
    );
    assert.equal((await api.ask('GET', '/api/v1/configmaps', undefined, { token })).code, 403);
  });

  it('heeds resourceNames, also for a watch of one name', async () => {
    await role('named', [
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['mine'], verbs: ['get', 'watch', 'list'] },
    ]);
    await api.ask('POST', `${NS}/secrets`, { metadata: { name: 'mine' } });
    assert.equal((await api.ask('GET', `${NS}/secrets/mine`, undefined, { token })).code, 200);
    assert.equal((await api.ask('GET', `${NS}/secrets/other`, undefined, { token })).code, 403);
    assert.equal(
      (await api.ask('GET', `${NS}/secrets?fieldSelector=metadata.name%3Dmine`, undefined, { token })).code,
      200,
    );
    assert.equal((await api.ask('GET', `${NS}/secrets`, undefined, { token })).code, 403);
  });

  it('keeps subresources apart', async () => {
    await role('scaler', [{ apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['*'] }]);
    assert.equal(
      (await api.ask('GET', '/apis/apps/v1/namespaces/default/deployments/x/scale', undefined, { token }))
        .code,
      404,
    );
    assert.equal(
      (await api.ask('GET', '/apis/apps/v1/namespaces/default/deployments/x', undefined, { token })).code,
      403,
    );
  });

  it('answers can-i', async () => {
    const ask = async (verb: string) => {
      const spec = { resourceAttributes: { verb, resource: 'configmaps', namespace: 'default' } };
      const answer = await api.ask(
        'POST',
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { spec },
        { token },
      );
      assert.equal(answer.code, 201, answer.text);
      return (answer.body.status as Obj).allowed;
    };
    assert.equal(await ask('list'), true);
    assert.equal(await ask('delete'), false);
  });

  it('lets nobody grant more than he holds', async () => {
    await role('granter', [
      {
        apiGroups: ['rbac.authorization.k8s.io'],
        resources: ['roles', 'rolebindings'],
        verbs: ['create', 'get', 'update'],
      },
    ]);
    const roles = `${RBAC}/namespaces/default/roles`;
    const held = {
      metadata: { name: 'held' },
      rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
    };
    assert.equal((await api.ask('POST', roles, held, { token })).code, 201);
    const more = {
      metadata: { name: 'more' },
      rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }],
    };
    const refused = await api.ask('POST', roles, more, { token });
    assert.equal(refused.code, 403);
    assert.match(refused.body.message ?? '', /attempting to grant RBAC permissions not currently held/);
    const binding = {
      metadata: { name: 'b' },
      roleRef: { kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [],
    };
    assert.equal(
      (await api.ask('POST', `${RBAC}/namespaces/default/rolebindings`, binding, { token })).code,
      403,
    );
  });
});

describe('eviction', () => {
  it('asks the disruption budget', async () => {
    const pods = `${NS}/pods`;
    await api.ask('POST', pods, {
      metadata: { name: 'ev', labels: { a: 'ev' } },
      spec: { serviceAccountName: 'app', containers: [{ name: 'a', image: 'x' }] },
    });
    const budgets = '/apis/policy/v1/namespaces/default/poddisruptionbudgets';
    await api.ask('POST', budgets, {
      metadata: { name: 'ev' },
      spec: { maxUnavailable: 0, selector: { matchLabels: { a: 'ev' } } },
    });
    const merge = { type: 'application/merge-patch+json' };
    await api.ask(
      'PATCH',
      `${pods}/ev/status`,
      { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
      merge,
    );
    await api.ask(
      'PATCH',
      `${budgets}/ev/status`,
      {
        status: {
          disruptionsAllowed: 0,
          desiredHealthy: 1,
          currentHealthy: 1,
          observedGeneration: 1,
          expectedPods: 1,
        },
      },
      merge,
    );
    const refused = await api.ask('POST', `${pods}/ev/eviction`, { metadata: { name: 'ev' } });
    assert.equal(refused.code, 429, refused.text);
    assert.equal((refused.body.details as { causes: Obj[] }).causes[0]?.reason, 'DisruptionBudget');
    await api.ask('PATCH', `${budgets}/ev/status`, { status: { disruptionsAllowed: 1 } }, merge);
    const evicted = await api.ask('POST', `${pods}/ev/eviction`, { metadata: { name: 'ev' } });
    assert.equal(evicted.code, 201);
    assert.equal(evicted.body.status, 'Success');
  });
});
