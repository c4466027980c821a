import assert from 'node:assert/strict';
import { waitFor } from '@pgherd/cli';
import { configMap, deployment, lease, pendingPod } from '../objects.ts';
import { type Answer, refuses, rows, sees } from '../table.ts';

/** POST: what is set, what is refused and how. */
export const creates = rows('create', {
  'an object gets uid, resourceVersion and creationTimestamp, and loses those of the body': async (api) => {
    const own = { uid: 'mine', creationTimestamp: '2000-01-01T00:00:00Z' };
    const { metadata } = await api.made('configmaps', configMap(api.name, {}, own));
    assert.match(metadata.uid, /^[0-9a-f]{8}-/);
    assert.match(metadata.resourceVersion, /^\d+$/);
    assert.match(metadata.creationTimestamp ?? '', /^20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.notEqual(metadata.creationTimestamp, own.creationTimestamp);
    assert.equal(metadata.namespace, api.namespace);
    assert.equal(metadata.generation, undefined, 'a ConfigMap has no generation');
  },
  'generateName gives a name with a random end': async (api) => {
    const answer = await api.ask('POST', api.path('configmaps'), { metadata: { generateName: 'made-' } });
    sees(answer, 201, { metadata: { name: /^made-[a-z0-9]{5}$/, generateName: 'made-' } });
  },
  'a name that is taken is 409 AlreadyExists': async (api) => {
    await api.made('configmaps', configMap(api.name));
    const answer = await api.ask('POST', api.path('configmaps'), configMap(api.name));
    refuses(answer, 409, 'AlreadyExists', new RegExp(`^configmaps "${api.name}" already exists$`), {
      name: api.name,
      kind: 'configmaps',
    });
  },
  'a taken name of a named group is told with its group': async (api) => {
    await api.made('deployments', deployment(api.name));
    const answer = await api.ask('POST', api.path('deployments'), deployment(api.name));
    refuses(answer, 409, 'AlreadyExists', /^deployments.apps "/, { group: 'apps', kind: 'deployments' });
  },
  'a bad name is 422 Invalid with the field': async (api) => {
    refuses(await api.ask('POST', api.path('configmaps'), configMap('A_B')), 422, 'Invalid', /"A_B"/, {
      kind: 'ConfigMap',
      name: 'A_B',
      causes: [{ reason: 'FieldValueInvalid', field: 'metadata.name' }],
    });
  },
  'no name at all is 422 Invalid': async (api) => {
    const answer = await api.ask('POST', api.path('configmaps'), { metadata: {} });
    refuses(answer, 422, 'Invalid', /name or generateName is required/, {
      causes: [{ reason: 'FieldValueRequired' }],
    });
  },
  'a bad label is 422 Invalid': async (api) => {
    const answer = await api.ask(
      'POST',
      api.path('configmaps'),
      configMap(api.name, {}, { labels: { 'a b': 'c' } }),
    );
    refuses(answer, 422, 'Invalid', /metadata.labels/);
  },
  'a namespace that does not exist is 404': async (api) => {
    const answer = await api.ask('POST', '/api/v1/namespaces/no-such-place/configmaps', configMap(api.name));
    refuses(answer, 404, 'NotFound', /^namespaces "no-such-place" not found$/, { kind: 'namespaces' });
  },
  'another namespace than that of the path is 400': async (api) => {
    const answer = await api.ask(
      'POST',
      api.path('configmaps'),
      configMap(api.name, {}, { namespace: 'default' }),
    );
    refuses(answer, 400, 'BadRequest', /namespace of the provided object does not match/);
  },
  'another kind than that of the path is 400': async (api) => {
    const answer = await api.ask('POST', api.path('configmaps'), {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: api.name },
    });
    refuses(answer, 400, 'BadRequest');
  },
  'a body that is no JSON is 400': async (api) => {
    refuses(await api.ask('POST', api.path('configmaps'), 'nonsense'), 400, 'BadRequest');
  },
  'a value of the wrong type is 400': async (api) => {
    const answer = await api.ask('POST', api.path('deployments'), deployment(api.name, { replicas: 'two' }));
    refuses(answer, 400, 'BadRequest', /cannot unmarshal string/);
  },
  'an unknown media type is 415': async (api) => {
    const answer = await api.ask('POST', api.path('configmaps'), 'x', { type: 'application/x-nothing' });
    refuses(answer, 415, 'UnsupportedMediaType');
  },
  'YAML is taken too': async (api) => {
    const body = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${api.name}\ndata: {a: "1"}\n`;
    const answer = await api.ask('POST', api.path('configmaps'), body, { type: 'application/yaml' });
    sees(answer, 201, { data: { a: '1' } });
  },
  'a dry run checks and stores nothing': async (api) => {
    const path = `${api.path('configmaps')}?dryRun=All`;
    sees(await api.ask('POST', path, configMap(api.name)), 201, { metadata: { uid: /./ } });
    refuses(await api.get(api.path('configmaps', api.name)), 404, 'NotFound');
    refuses(await api.ask('POST', path, configMap('A_B')), 422, 'Invalid');
  },
  'a dryRun that is not All is 422': async (api) => {
    const answer = await api.ask('POST', `${api.path('configmaps')}?dryRun=Some`, configMap(api.name));
    refuses(answer, 422, 'Invalid', /dryRun/);
  },
  'fieldValidation=Strict refuses unknown fields with 400': async (api) => {
    const body = { ...configMap(api.name), extra: 1 };
    const answer = await api.ask('POST', `${api.path('configmaps')}?fieldValidation=Strict`, body);
    refuses(answer, 400, 'BadRequest', /strict decoding error: unknown field "extra"/);
  },
  'fieldValidation=Warn drops unknown fields and warns; it is the default': async (api) => {
    const body = { ...configMap(api.name), extra: 1 };
    const answer = sees(await api.ask('POST', api.path('configmaps'), body), 201);
    assert.equal(answer.body.extra, undefined);
    assert.match(String(answer.headers.warning), /^299 - "unknown field \\"extra\\""/);
  },
  'fieldValidation=Ignore drops them silently': async (api) => {
    const body = { ...configMap(api.name), extra: 1 };
    const answer = await api.ask('POST', `${api.path('configmaps')}?fieldValidation=Ignore`, body);
    assert.equal(sees(answer, 201).headers.warning, undefined);
  },
  'an unknown fieldValidation is 422': async (api) => {
    const answer = await api.ask(
      'POST',
      `${api.path('configmaps')}?fieldValidation=Some`,
      configMap(api.name),
    );
    refuses(answer, 422, 'Invalid', /fieldValidation/);
  },
  'times of a Lease have six digits after the point': async (api) => {
    const { spec } = await api.made('leases', lease(api.name));
    assert.equal((spec as { renewTime: string }).renewTime, '2026-01-02T03:04:05.123456Z');
    const three = lease(`${api.name}-b`, { renewTime: '2026-01-02T03:04:05.123Z' });
    refuses(await api.ask('POST', api.path('leases'), three), 400, 'BadRequest', /parsing time/);
  },
  'a Lease of no seconds is 422': async (api) => {
    const answer = await api.ask('POST', api.path('leases'), lease(api.name, { leaseDurationSeconds: 0 }));
    refuses(answer, 422, 'Invalid', /leaseDurationSeconds.*greater than 0/);
  },
  'a selector that misses its template is 422': async (api) => {
    const body = deployment(api.name, { selector: { matchLabels: { app: 'other' } } });
    refuses(await api.ask('POST', api.path('deployments'), body), 422, 'Invalid', /does not match template/);
  },
  'a pod of a service account that is not there is 403': async (api) => {
    const body = pendingPod(api.name, {}, { serviceAccountName: 'nobody' });
    refuses(
      await api.ask('POST', api.path('pods'), body),
      403,
      'Forbidden',
      /serviceaccount "nobody" not found/,
    );
  },
  'a pod without containers is 422': async (api) => {
    const body = pendingPod(api.name, {}, { containers: [] });
    refuses(await api.ask('POST', api.path('pods'), body), 422, 'Invalid', /spec.containers: Required value/);
  },
  'a secret with a value that is no base64 is 400': async (api) => {
    const body = { metadata: { name: api.name }, data: { a: '***' } };
    refuses(await api.ask('POST', api.path('secrets'), body), 400, 'BadRequest', /illegal base64/);
  },
  'a quota that is used up is 403': async (api) => {
    const name = `${api.namespace}-quota`;
    sees(await api.ask('POST', '/api/v1/namespaces', { metadata: { name } }), 201);
    const namespace = `/api/v1/namespaces/${name}`;
    const quota = { metadata: { name: 'q' }, spec: { hard: { secrets: '0' } } };
    sees(await api.ask('POST', `${namespace}/resourcequotas`, quota), 201);
    const secret = { metadata: { name: api.name }, data: {} };
    // Admission reads quotas from a cache of its own, which may be behind for a moment even once the status is there.
    await waitFor(
      async () => (await api.ask('POST', `${namespace}/secrets?dryRun=All`, secret)).code === 403,
      { timeoutMs: 30_000, everyMs: 50, describe: () => 'the quota is not in force' },
    );
    const inForce = (answer: Answer) =>
      (answer.body.status as { hard?: object } | undefined)?.hard !== undefined;
    await api.until(`${namespace}/resourcequotas/q`, 'the quota has no status', inForce);
    const answer = await api.ask('POST', `${namespace}/secrets`, secret);
    refuses(
      answer,
      403,
      'Forbidden',
      /exceeded quota: q, requested: secrets=1, used: secrets=0, limited: secrets=0$/,
    );
    sees(await api.ask('DELETE', namespace), 200);
  },
  'a namespace that is being deleted takes no more objects (403, NamespaceTerminating)': async (api) => {
    const name = `${api.namespace}-going`;
    const body = { metadata: { name } };
    sees(await api.ask('POST', '/api/v1/namespaces', body), 201);
    const inside = `/api/v1/namespaces/${name}/configmaps`;
    const kept = configMap('kept', {}, { finalizers: ['conformance.pgherd.io/keep'] });
    sees(await api.ask('POST', inside, kept), 201);
    sees(await api.ask('DELETE', `/api/v1/namespaces/${name}`), 200, { status: { phase: 'Terminating' } });
    refuses(await api.ask('POST', inside, configMap('late')), 403, 'Forbidden', /being terminated/, {
      causes: [{ reason: 'NamespaceTerminating' }],
    });
    sees(await api.patch('merge', `${inside}/kept`, { metadata: { finalizers: null } }), 200);
    await api.gone(`/api/v1/namespaces/${name}`, 180_000);
  },
});
