import assert from 'node:assert/strict';
import { pendingPod, role, runningPod } from '../objects.ts';
import { type Api, eventually, refuses, rows, Skipped, sees } from '../table.ts';

const RBAC = 'rbac.authorization.k8s.io';
const AUTHORIZATION = '/apis/authorization.k8s.io/v1';

/** A service account and its token. */
async function account(api: Api): Promise<{ user: string; token: string }> {
  await api.made('serviceaccounts', { metadata: { name: api.name } });
  const body = { spec: { expirationSeconds: 600 } };
  const answer = await api.ask('POST', `${api.path('serviceaccounts', api.name)}/token`, body);
  const { token } = sees(answer, 201, { kind: 'TokenRequest' }).body.status as { token: string };
  return { user: `system:serviceaccount:${api.namespace}:${api.name}`, token };
}

async function asAccount(api: Api, token: string, path: string) {
  const { server, ca, insecure, serverName } = api.config;
  return api.askAs({ server, ca, insecure, serverName, token: () => token }, path);
}

/** Fails as skipped where this user may not act for others. */
async function impersonating(api: Api, user: string, groups: string[] = []): Promise<Record<string, string>> {
  const headers: Record<string, string> = { 'impersonate-user': user };
  if (groups[0]) headers['impersonate-group'] = groups[0];
  const answer = await api.get('/version', { headers });
  if (answer.code === 403 && /cannot impersonate/.test(answer.text))
    throw new Skipped('this user may not act for others');
  return headers;
}

/** Who asks, and what he may. */
export const access = rows('access', {
  'a token that is none is 401': async (api) => {
    refuses(await asAccount(api, 'nonsense', '/api/v1/namespaces'), 401, 'Unauthorized', /^Unauthorized$/);
  },
  'without a rule it is 403, with who, what and where': async (api) => {
    const { user, token } = await account(api);
    const answer = await asAccount(api, token, api.path('configmaps'));
    const text = `configmaps is forbidden: User "${user}" cannot list resource "configmaps" in API group "" in the namespace "${api.namespace}"`;
    refuses(answer, 403, 'Forbidden', undefined, { kind: 'configmaps' });
    assert.ok(answer.body.message.startsWith(text), answer.body.message);
  },
  'a role gives what it says, by name where it names': async (api) => {
    const { token } = await account(api);
    const named = {
      ...role(api.name),
      rules: [
        {
          apiGroups: [''],
          resources: ['configmaps'],
          resourceNames: ['kube-root-ca.crt'],
          verbs: ['get', 'list', 'watch'],
        },
      ],
    };
    await api.made('roles', named);
    await api.made('rolebindings', {
      metadata: { name: api.name },
      roleRef: { apiGroup: RBAC, kind: 'Role', name: api.name },
      subjects: [{ kind: 'ServiceAccount', name: api.name, namespace: api.namespace }],
    });
    const path = api.path('configmaps', 'kube-root-ca.crt');
    await eventually(async () => {
      sees(await asAccount(api, token, path), 200);
    });
    refuses(await asAccount(api, token, api.path('configmaps', 'other')), 403, 'Forbidden');
    refuses(await asAccount(api, token, api.path('configmaps')), 403, 'Forbidden');
    // A list of one name counts as reading that name.
    const list = `${api.path('configmaps')}?fieldSelector=metadata.name%3Dkube-root-ca.crt`;
    sees(await asAccount(api, token, list), 200, { kind: 'ConfigMapList' });
  },
  'nobody gives what he has not (403)': async (api) => {
    const headers = await impersonating(api, `conformance-${api.name}`);
    await api.made('roles', {
      ...role(api.name),
      rules: [{ apiGroups: [RBAC], resources: ['roles'], verbs: ['create'] }],
    });
    await api.made('rolebindings', {
      metadata: { name: api.name },
      roleRef: { apiGroup: RBAC, kind: 'Role', name: api.name },
      subjects: [{ kind: 'User', apiGroup: RBAC, name: `conformance-${api.name}` }],
    });
    const path = `${api.path('roles')}?dryRun=All`;
    await eventually(async () => {
      const answer = await api.ask('POST', path, role(`${api.name}-more`, ['secrets']), { headers });
      refuses(answer, 403, 'Forbidden', /is attempting to grant RBAC permissions not currently held/);
    });
  },
  'a binding to a role that is not there is 404, but for who may bind any': async (api) => {
    const user = `conformance-${api.name}`;
    const headers = await impersonating(api, user);
    await api.made('roles', {
      ...role(api.name),
      rules: [{ apiGroups: [RBAC], resources: ['rolebindings'], verbs: ['create'] }],
    });
    const binding = (name: string, to: string) => ({
      metadata: { name },
      roleRef: { apiGroup: RBAC, kind: 'Role', name: to },
      subjects: [{ kind: 'User', apiGroup: RBAC, name: user }],
    });
    await api.made('rolebindings', binding(api.name, api.name));
    await eventually(async () => {
      const body = binding(`${api.name}-b`, 'nobody');
      const answer = await api.ask('POST', `${api.path('rolebindings')}?dryRun=All`, body, { headers });
      refuses(answer, 404, 'NotFound', /^role(binding)?s.rbac.authorization.k8s.io "nobody" not found$/);
    });
  },
  'a pod that asks for more than its namespace allows is 403': async (api) => {
    const name = `${api.namespace}-strict`;
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    sees(await api.ask('POST', '/api/v1/namespaces', { metadata: { name, labels } }), 201);
    const account = `/api/v1/namespaces/${name}/serviceaccounts/default`;
    await api.until(account, 'there is no service account', ({ code }) => code === 200);
    const pods = `/api/v1/namespaces/${name}/pods?dryRun=All`;
    const refusal = await api.ask('POST', pods, pendingPod(api.name));
    refuses(refusal, 403, 'Forbidden', /violates PodSecurity "restricted:latest": .*seccompProfile/);
    sees(await api.ask('POST', pods, runningPod(api.name, api.image)), 201);
    sees(await api.ask('DELETE', `/api/v1/namespaces/${name}`), 200);
  },
  'SelfSubjectAccessReview says what one may': async (api) => {
    const resourceAttributes = { namespace: api.namespace, verb: 'create', resource: 'configmaps' };
    const answer = await api.ask('POST', `${AUTHORIZATION}/selfsubjectaccessreviews`, {
      spec: { resourceAttributes },
    });
    sees(answer, 201, { status: { allowed: true } });
  },
  'SubjectAccessReview says what another may': async (api) => {
    const resourceAttributes = { namespace: api.namespace, verb: 'create', resource: 'configmaps' };
    const spec = { user: 'conformance-nobody', resourceAttributes };
    sees(await api.ask('POST', `${AUTHORIZATION}/subjectaccessreviews`, { spec }), 201, {
      status: { allowed: false },
    });
  },
  'a token says who it is': async (api) => {
    const { user, token } = await account(api);
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    const answer = await api.ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
    sees(answer, 201, { status: { authenticated: true, user: { username: user } } });
  },
  'a token is good only as long as its account is there': async (api) => {
    const { token } = await account(api);
    assert.equal((await asAccount(api, token, '/version')).code, 200);
    sees(await api.ask('DELETE', api.path('serviceaccounts', api.name)), 200);
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    // A server may remember a token for about ten seconds.
    await eventually(async () => {
      const { body } = await api.ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review);
      assert.notEqual((body.status as { authenticated?: boolean }).authenticated, true);
    });
  },
});
