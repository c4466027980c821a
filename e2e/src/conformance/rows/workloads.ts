import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { Client } from '@pgherd/kube';
import { exec } from '@pgherd/kube/streams';
import { runningPod } from '../objects.ts';
import { type Answer, type Api, type Json, refuses, rows, sees } from '../table.ts';

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
  'a command in a container: what it writes, and its exit code': async (api) => {
    await api.made('pods', runningPod(api.name, api.image));
    await api.until(api.path('pods', api.name), 'the pod is not ready', ready, 120_000);
    const client = new Client(api.config);
    const run = async (script: string, input?: string) => {
      const [stdout, stderr] = [new PassThrough(), new PassThrough()];
      const command = ['sh', '-c', script];
      // Only where it is read: a server that is done while input is on its way resets the connection.
      const stdin = input === undefined ? undefined : Readable.from([input]);
      const pod = { namespace: api.namespace, name: api.name };
      const code = await exec(client, pod, { command, stdin, stdout, stderr });
      return [code, String(stdout.read() ?? ''), String(stderr.read() ?? '')];
    };
    try {
      assert.deepEqual(await run('x=$(cat); echo "$x"; echo two >&2; exit 3', 'one\n'), [
        3,
        'one\n',
        'two\n',
      ]);
      assert.deepEqual(await run('true'), [0, '', '']);
    } finally {
      client.close();
    }
  },
  'the log of a container that ended is kept for previous=true': async (api) => {
    const pod = runningPod(api.name, api.image);
    const [container] = (pod.spec as { containers: Json[] }).containers;
    // The second time it stays.
    const script =
      'if mkdir /keep/once 2>/dev/null; then echo first; exit 1; fi; echo second; while :; do sleep 0.2; done';
    Object.assign(container!, {
      command: ['sh', '-c', script],
      volumeMounts: [{ name: 'keep', mountPath: '/keep' }],
    });
    Object.assign(pod.spec as Json, { volumes: [{ name: 'keep', emptyDir: {} }] });
    await api.made('pods', pod);
    const restarted = ({ body }: Answer) =>
      (body.status as { containerStatuses?: { restartCount: number; state: { running?: Json } }[] })
        ?.containerStatuses?.[0]?.restartCount === 1;
    await api.until(api.path('pods', api.name), 'the container was not started again', restarted, 120_000);
    const log = `${api.path('pods', api.name)}/log`;
    assert.equal(sees(await api.get(`${log}?previous=true`), 200).text, 'first\n');
    await api.until(log, 'the new one says nothing', ({ text }) => text === 'second\n');
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
    const previous = await api.get(`${api.path('pods', api.name)}/log?previous=true`);
    refuses(previous, 400, 'BadRequest', /^previous terminated container "c" in pod ".*" not found$/);
  },
});
