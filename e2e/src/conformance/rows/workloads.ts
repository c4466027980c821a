import assert from 'node:assert/strict';
import { runningPod } from '../objects.ts';
import { type Answer, type Api, refuses, rows, sees } from '../table.ts';

function evict(api: Api, pod: string, query = ''): Promise<Answer> {
  return api.ask('POST', `${api.path('pods', pod)}/eviction${query}`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: pod, namespace: api.namespace },
  });
}

function ready({ body }: Answer): boolean {
  const { conditions } = (body.status ?? {}) as { conditions?: { type: string; status: string }[] };
  return conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

/** Pods that run: eviction, graceful deletion, endpoints. */
export const workloads = rows('pods', {
  'an eviction that a budget forbids is 429 with cause DisruptionBudget, one that it allows 201': async (
    api,
  ) => {
    const labels = { row: api.name };
    await api.made('pods', runningPod(api.name, api.image, { labels }));
    await api.made('poddisruptionbudgets', {
      metadata: { name: api.name },
      spec: { minAvailable: 1, selector: { matchLabels: labels } },
    });
    await api.until(api.path('pods', api.name), 'the pod is not ready', ready, 120_000);
    const budget = api.path('poddisruptionbudgets', api.name);
    await api.until(
      budget,
      'the budget does not count the pod',
      ({ body }) => (body.status as { currentHealthy?: number })?.currentHealthy === 1,
    );
    refuses(await evict(api, api.name), 429, 'TooManyRequests', /would violate the pod's disruption budget/, {
      causes: [{ reason: 'DisruptionBudget' }],
    });
    sees(await api.patch('merge', budget, { spec: { minAvailable: 0 } }), 200);
    await api.until(
      budget,
      'the budget allows nothing',
      ({ body }) => (body.status as { disruptionsAllowed?: number })?.disruptionsAllowed === 1,
    );
    sees(await evict(api, api.name, '?dryRun=All'), 201);
    sees(await evict(api, api.name), 201, { kind: 'Status', status: 'Success' });
    await api.gone(api.path('pods', api.name), 60_000);
  },
  'an eviction of a pod that is not there is 404': async (api) => {
    refuses(await evict(api, 'nobody'), 404, 'NotFound');
  },
  'a pod that runs is deleted with grace, and its service lets it go': async (api) => {
    const labels = { row: api.name };
    await api.made('services', {
      metadata: { name: api.name },
      spec: { selector: labels, ports: [{ port: 80 }] },
    });
    await api.made('pods', runningPod(api.name, api.image, { labels }));
    const pod = await api.until(api.path('pods', api.name), 'the pod is not ready', ready, 120_000);
    const { podIP, podIPs, hostIP } = pod.body.status as {
      podIP: string;
      podIPs: { ip: string }[];
      hostIP: string;
    };
    assert.equal(podIPs[0]?.ip, podIP);
    assert.ok(hostIP);
    const slices = `${api.path('endpointslices')}?labelSelector=kubernetes.io%2Fservice-name%3D${api.name}`;
    const addresses = ({ body }: Answer) =>
      body.items
        .flatMap(({ endpoints }) => (endpoints as { addresses: string[] }[] | null) ?? [])
        .flatMap((each) => each.addresses);
    await api.until(slices, 'the service has no endpoint', (answer) => addresses(answer).includes(podIP));
    sees(await api.ask('DELETE', api.path('pods', api.name)), 200, {
      metadata: { deletionTimestamp: /Z$/, deletionGracePeriodSeconds: 1 },
    });
    await api.gone(api.path('pods', api.name), 60_000);
    await api.until(slices, 'the endpoint stays', (answer) => addresses(answer).length === 0);
  },
  'the log of a container is text': async (api) => {
    await api.made('pods', runningPod(api.name, api.image));
    await api.until(api.path('pods', api.name), 'the pod is not ready', ready, 120_000);
    const answer = sees(await api.get(`${api.path('pods', api.name)}/log?tailLines=5`), 200);
    assert.match(String(answer.headers['content-type']), /^text\/plain/);
    refuses(
      await api.get(`${api.path('pods', api.name)}/log?container=nobody`),
      400,
      'BadRequest',
      /container nobody is not valid/,
    );
  },
});
