import assert from 'node:assert/strict';
import { deployment, pendingPod, service } from '../objects.ts';
import { rows, sees } from '../table.ts';

/** What the server fills in for built-in kinds. */
export const defaults = rows('defaults', {
  'a pod': async (api) => {
    const answer = await api.made('pods', pendingPod(api.name));
    const spec = {
      restartPolicy: 'Always',
      dnsPolicy: 'ClusterFirst',
      terminationGracePeriodSeconds: 30,
      serviceAccountName: 'default',
      enableServiceLinks: true,
      schedulerName: 'default-scheduler',
    };
    const container = {
      imagePullPolicy: 'IfNotPresent',
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
    };
    const { body } = sees(await api.get(api.path('pods', api.name)), 200, {
      spec: { ...spec, containers: [container] },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    });
    const { tolerations, volumes } = body.spec as {
      tolerations: { key: string }[];
      volumes: { projected?: object }[];
    };
    assert.deepEqual(
      tolerations.map(({ key }) => key),
      ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'],
    );
    assert.ok(
      volumes.some(({ projected }) => projected),
      'the token of the service account is mounted',
    );
    assert.equal(answer.metadata.generation === undefined || answer.metadata.generation === 1, true);
  },
  'a deployment': async (api) => {
    sees(await api.ask('POST', api.path('deployments'), deployment(api.name)), 201, {
      metadata: { generation: 1 },
      spec: {
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
        revisionHistoryLimit: 10,
        progressDeadlineSeconds: 600,
      },
    });
  },
  'a service': async (api) => {
    const { spec } = await api.made('services', service(api.name));
    const found = spec as { clusterIP: string; clusterIPs: string[]; ipFamilies: string[] };
    sees(await api.get(api.path('services', api.name)), 200, {
      spec: {
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
      },
    });
    assert.match(found.clusterIP, /^[0-9a-f.:]+$/);
    assert.equal(found.clusterIPs[0], found.clusterIP);
    assert.match(found.ipFamilies[0] ?? '', /^IPv[46]$/);
  },
  'a service without an address': async (api) => {
    const { spec } = await api.made('services', service(api.name, { clusterIP: 'None' }));
    assert.equal((spec as { clusterIP: string }).clusterIP, 'None');
  },
  'a secret: stringData goes into data and is not shown': async (api) => {
    const made = await api.made('secrets', { metadata: { name: api.name }, stringData: { a: 'text' } });
    assert.equal(made.stringData, undefined);
    assert.deepEqual(made.data, { a: Buffer.from('text').toString('base64') });
    assert.equal(made.type, 'Opaque');
  },
  'a namespace has a service account and the root certificate': async (api) => {
    sees(await api.get(api.path('serviceaccounts', 'default')), 200);
    const { body } = sees(await api.get(api.path('configmaps', 'kube-root-ca.crt')), 200);
    assert.match((body.data as { 'ca.crt': string })['ca.crt'], /BEGIN CERTIFICATE/);
    sees(await api.get(`/api/v1/namespaces/${api.namespace}`), 200, {
      metadata: { labels: { 'kubernetes.io/metadata.name': api.namespace } },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
  },
});
