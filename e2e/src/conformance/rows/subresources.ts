import assert from 'node:assert/strict';
import { configMap, deployment, pendingPod, role } from '../objects.ts';
import { eventually, type Json, refuses, rows, sees } from '../table.ts';

/** What lies below an object, and who is said to have written it. */
export const subresources = rows('subresources', {
  '/scale of a deployment shows and sets its replicas': async (api) => {
    await api.made('deployments', deployment(api.name, { paused: true }));
    const path = `${api.path('deployments', api.name)}/scale`;
    const scale = { kind: 'Scale', apiVersion: 'autoscaling/v1', status: { selector: `app=${api.name}` } };
    let asked: Json = {};
    // Its controller may write between the two.
    await eventually(async () => {
      const { body } = sees(await api.get(path), 200, scale);
      asked = { ...body, spec: { replicas: 2 } };
      sees(await api.ask('PUT', path, asked), 200, { spec: { replicas: 2 } });
    });
    refuses(await api.ask('PUT', path, asked), 409, 'Conflict');
    sees(await api.patch('merge', path, { spec: { replicas: 0 } }), 200);
    sees(await api.get(api.path('deployments', api.name)), 200, { spec: { replicas: 0 } });
    refuses(await api.patch('merge', path, { spec: { replicas: -1 } }), 422, 'Invalid', /spec.replicas/);
  },
  '/status of a pod: conditions merge by type, and the spec stays': async (api) => {
    await api.made('pods', pendingPod(api.name));
    const path = `${api.path('pods', api.name)}/status`;
    const condition = (type: string, status: string) => ({ type, status });
    const set = (...conditions: Json[]) =>
      api.patch('strategic', path, { spec: { hostname: 'x' }, status: { conditions } });
    sees(await set(condition('example.com/a', 'False'), condition('example.com/b', 'True')), 200);
    const { body } = sees(await set(condition('example.com/a', 'True')), 200);
    const { conditions } = body.status as { conditions: Json[] };
    const own = conditions.filter(({ type }) => String(type).startsWith('example.com/'));
    assert.deepEqual(own.map(({ type, status }) => `${type} ${status}`).sort(), [
      'example.com/a True',
      'example.com/b True',
    ]);
    assert.equal((body.spec as Json).hostname, undefined);
  },
  'one that is not there is 404, a verb that it has not is 405': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const path = api.path('configmaps', api.name);
    sees(await api.get(`${path}/nothing`), 404);
    sees(await api.get(`${path}/status`), 404);
    refuses(await api.ask('POST', path, configMap(api.name)), 405, 'MethodNotAllowed');
  },
  'a token is for ten minutes at least, and names whom it is for': async (api) => {
    await api.made('serviceaccounts', { metadata: { name: api.name } });
    const path = `${api.path('serviceaccounts', api.name)}/token`;
    refuses(await api.ask('POST', path, { spec: { expirationSeconds: 60 } }), 422, 'Invalid', /10 minutes/);
    const { body } = sees(await api.ask('POST', path, { spec: { audiences: ['me'] } }), 201);
    const { token, expirationTimestamp } = body.status as { token: string; expirationTimestamp: string };
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Json;
    assert.deepEqual(claims.aud, ['me']);
    assert.equal(claims.sub, `system:serviceaccount:${api.namespace}:${api.name}`);
    assert.ok(Date.parse(expirationTimestamp) > Date.now());
    refuses(
      await api.ask('POST', `${api.path('serviceaccounts', 'nobody')}/token`, { spec: {} }),
      404,
      'NotFound',
    );
  },
  'managedFields say who wrote, how, and through which subresource': async (api) => {
    const path = api.path('deployments', api.name);
    await api.ask('POST', `${api.path('deployments')}?fieldManager=maker`, deployment(api.name));
    sees(await api.patch('merge', `${path}?fieldManager=changer`, { spec: { minReadySeconds: 3 } }), 200);
    const scaled = await api.patch('merge', `${path}/scale?fieldManager=scaler`, { spec: { replicas: 1 } });
    sees(scaled, 200);
    const apply = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { labels: { a: 'b' } } };
    sees(await api.patch('apply', `${path}?fieldManager=applier`, apply), 200);
    const { managedFields = [] } = (await api.get(path)).body.metadata;
    const entry = (manager: string) => managedFields.find((each) => each.manager === manager);
    assert.equal(entry('maker')?.operation, 'Update');
    assert.deepEqual(entry('changer')?.fieldsV1, { 'f:spec': { 'f:minReadySeconds': {} } });
    assert.deepEqual([entry('scaler')?.operation, entry('scaler')?.subresource], ['Update', 'scale']);
    assert.deepEqual(entry('scaler')?.fieldsV1, { 'f:spec': { 'f:replicas': {} } });
    assert.equal(entry('applier')?.operation, 'Apply');
    assert.ok(!JSON.stringify(entry('maker')?.fieldsV1).includes('f:replicas'));
    sees(await api.ask('DELETE', path), 200);
  },
  'SelfSubjectRulesReview lists what one may': async (api) => {
    await api.made('roles', role(api.name));
    const body = { spec: { namespace: api.namespace } };
    const answer = await api.ask('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', body);
    const { resourceRules } = sees(answer, 201).body.status as { resourceRules: Json[] };
    assert.ok(
      resourceRules.some(({ verbs }) => (verbs as string[]).some((verb) => ['*', 'create'].includes(verb))),
    );
  },
});
