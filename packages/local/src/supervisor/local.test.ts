import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { kinds, type Pod, type Service } from '@pgherd/kube';
import { down, hostPort, node, preflight, status, up } from '../index.ts';
import { isAlive, type ProcessRef, processRef, signal } from '../net/processes.ts';
import { readShimState } from '../shim/client.ts';
import { stateLayout } from '../state.ts';
import { execInPod } from './exec-for-tests.ts';
import { lockState } from './lock.ts';
import {
  eventually,
  getPod,
  httpServer,
  IMAGE,
  isReady,
  logOf,
  ready,
  shellPod,
  startTestLocal,
  type TestLocal,
} from './testing.ts';

let local: TestLocal;

before(async () => {
  assert.deepEqual(await preflight({ state: join(tmpdir(), 'pgherd-not-made') }), []);
  local = await startTestLocal(2);
});
after(() => local?.end());

const service = (name: string): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
});

const httpProbe = { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 };
const onNode = (name: string) => ({ nodeSelector: { 'kubernetes.io/hostname': name } });

const create = (pod: Pod): Promise<Pod> => local.client.create(kinds.Pod, pod);

async function remove(...names: string[]): Promise<void> {
  for (const name of names) {
    await local.client.delete(kinds.Pod, { namespace: 'default', name });
    await eventually(`pod ${name} gone`, async () => {
      return !(await local.client.find(kinds.Pod, { namespace: 'default', name }));
    });
  }
}

async function fetchText(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1500) });
  return answer.text();
}

/** The first process of the pod's container, as the machine numbers it. */
function initOf(pod: Pod): Promise<{ shim: ProcessRef; init: ProcessRef }> {
  const file = stateLayout(local.state).pod(pod.metadata.uid!).shim;
  return eventually('the first process of a container', () => {
    const state = readShimState(file);
    const init = state?.containers.findLast(({ name }) => name === 'c')?.init;
    return state && init && { shim: state.shim, init };
  });
}

describe('pods', () => {
  test('volumes, environment, identity and DNS are as the pod says', async () => {
    const claim = { name: 'data', namespace: 'default' };
    await local.client.create(kinds.PersistentVolumeClaim, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: claim,
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'local',
        resources: { requests: { storage: '1Gi' } },
      },
    });
    await local.client.create(kinds.Secret, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'default' },
      data: { key: Buffer.from('one').toString('base64') },
    });
    const script = `set -e; id -u; id -G; cat /init/made; echo kept >>/data/x; cat /secret/key; echo
      test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token
      stat -f -c %T /mem; touch /root-is-read-only 2>/dev/null || echo read-only
      getent hosts kubernetes.default.svc | tr -s ' '; echo "$WHO on $IP"; hostname
      sleep 1000`;
    await create(
      shellPod('all', script, {
        spec: {
          volumes: [
            { name: 'data', persistentVolumeClaim: { claimName: 'data' } },
            { name: 'mem', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } },
            { name: 'init', emptyDir: {} },
            { name: 'secret', secret: { secretName: 's' } },
          ],
          initContainers: [
            {
              name: 'i',
              image: IMAGE,
              command: ['sh', '-c', 'echo made >/init/made'],
              volumeMounts: [{ name: 'init', mountPath: '/init' }],
            },
          ],
        },
        container: {
          securityContext: { readOnlyRootFilesystem: true },
          env: [
            { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          ],
          volumeMounts: ['data', 'mem', 'init', 'secret'].map((name) => ({ name, mountPath: `/${name}` })),
        },
      }),
    );
    const pod = await ready(local.client, 'all');
    const log = await eventually('the log', async () => {
      const text = await logOf(local.client, 'all');
      return text.endsWith('all\n') && text;
    });
    assert.deepEqual(log.trim().split('\n'), [
      '26',
      '26',
      'made',
      'one',
      'token',
      'tmpfs',
      'read-only',
      '10.96.0.1 kubernetes.default.svc.cluster.local',
      `all on ${pod.status!.podIP}`,
      'all',
    ]);
    await local.client.patch(
      kinds.Secret,
      { namespace: 'default', name: 's' },
      {
        type: 'merge',
        body: { data: { key: Buffer.from('two').toString('base64') } },
      },
    );
    await eventually('the new secret in the volume', async () => {
      const { output } = await execInPod(local.client, 'all', ['cat', '/secret/key']);
      return output === 'two';
    });
    await remove('all');
    await eventually(
      'its folder gone',
      () => !existsSync(stateLayout(local.state).pod(pod.metadata.uid!).dir),
    );
  });

  test('exec gives output and exit code, takes input, and makes a terminal', async () => {
    await create(shellPod('exec', 'sleep 1000'));
    await ready(local.client, 'exec');
    const run = (command: string[], options = {}) => execInPod(local.client, 'exec', command, options);
    assert.deepEqual(await run(['sh', '-c', 'echo out; echo err >&2; exit 7']), {
      output: 'out\n',
      errors: 'err\n',
      exitCode: 7,
    });
    assert.equal((await run(['cat'], { input: 'hello' })).output, 'hello');
    const large = 'x'.repeat(300_000);
    assert.equal((await run(['cat'], { input: large })).output, large);
    assert.match((await run(['test', '-t', '1'], { tty: true })).output, /^$/);
    assert.equal((await run(['test', '-t', '1'], {})).exitCode, 1);
    await remove('exec');
  });

  test('the death of a container is told at once, as not ready and terminated, and it comes back', async () => {
    await create(shellPod('dies', httpServer('x'), { container: { readinessProbe: httpProbe } }));
    const pod = await ready(local.client, 'dies');
    const watching = new AbortController();
    const events = local.client.watch(kinds.Pod, {
      namespace: 'default',
      fieldSelector: 'metadata.name=dies',
      signal: watching.signal,
    });
    const { init } = await initOf(pod);
    let killed = 0;
    for await (const { object } of events) {
      if (killed === 0) {
        killed = performance.now();
        process.kill(init.pid, 'SIGKILL');
        continue;
      }
      if (isReady(object)) continue;
      const [c] = object.status!.containerStatuses!;
      const told = c!.state?.terminated ?? c!.lastState!.terminated!;
      assert.equal(told.exitCode, 137);
      assert.equal(told.containerID, pod.status!.containerStatuses![0]!.containerID);
      break;
    }
    watching.abort();
    const ms = performance.now() - killed;
    assert.ok(ms < 1000, `told after ${ms} ms`);
    assert.equal((await ready(local.client, 'dies')).status!.containerStatuses![0]!.restartCount, 1);
    // The second crash within minutes rests.
    process.kill((await initOf(pod)).init.pid, 'SIGKILL');
    await eventually('CrashLoopBackOff', async () => {
      const { status: now } = await getPod(local.client, 'dies');
      return now!.containerStatuses![0]!.state?.waiting?.reason === 'CrashLoopBackOff';
    });
    await remove('dies');
  });

  test('the death of a shim takes its containers along; the pod gets a new sandbox', async () => {
    await create(shellPod('shimless', 'sleep 1000'));
    const pod = await ready(local.client, 'shimless');
    const { shim, init } = await initOf(pod);
    process.kill(shim.pid, 'SIGKILL');
    await eventually('the container dead', () => !isAlive(init));
    const again = await eventually('a new sandbox', async () => {
      const now = await getPod(local.client, 'shimless');
      return isReady(now) && now.status!.podIP !== pod.status!.podIP && now;
    });
    assert.equal(again.status!.containerStatuses![0]!.restartCount, 1);
    await remove('shimless');
  });

  test('deletion: preStop, SIGTERM, and SIGKILL at the end of the grace period', async () => {
    const script = 'trap "echo got TERM" TERM; while :; do sleep 0.05; done';
    const hook = { preStop: { exec: { command: ['sh', '-c', 'echo hook >/proc/1/fd/1'] } } };
    await create(
      shellPod('stays', script, {
        spec: { terminationGracePeriodSeconds: 1 },
        container: { lifecycle: hook },
      }),
    );
    const pod = await ready(local.client, 'stays');
    const { init } = await initOf(pod);
    await local.client.delete(kinds.Pod, { namespace: 'default', name: 'stays' });
    await eventually(
      'what it said',
      async () => /hook\ngot TERM/.test(await logOf(local.client, 'stays')),
      3000,
    );
    await eventually(
      'gone',
      async () => !(await local.client.find(kinds.Pod, { namespace: 'default', name: 'stays' })),
    );
    assert.equal(isAlive(init), false);
  });

  test('a liveness probe restarts its container; a pod that never restarts ends', async () => {
    const probe = {
      exec: { command: ['test', '!', '-e', '/tmp/sick'] },
      periodSeconds: 1,
      failureThreshold: 1,
    };
    await create(
      shellPod('sick', 'sleep 1; touch /tmp/sick; sleep 1000', { container: { livenessProbe: probe } }),
    );
    await create(shellPod('job', 'exit 3', { spec: { restartPolicy: 'Never' } }));
    await create(shellPod('noimage', 'true', { container: { image: 'nobody/nothing:9' } }));
    await eventually('the restart', async () => {
      const { status: now } = await getPod(local.client, 'sick');
      return now?.containerStatuses?.[0]?.restartCount === 1;
    });
    const failed = await eventually('the end', async () => {
      const now = await getPod(local.client, 'job');
      return now.status?.phase === 'Failed' && now;
    });
    assert.equal(failed.status!.containerStatuses![0]!.state!.terminated!.exitCode, 3);
    await eventually('the unknown image', async () => {
      const waiting = (await getPod(local.client, 'noimage')).status?.containerStatuses?.[0]?.state?.waiting;
      return /Image/.test(waiting?.reason ?? '') && /register it/.test(waiting?.message ?? '');
    });
    await remove('sick', 'job', 'noimage');
  });
});

describe('services', () => {
  test('from pods and from the host; refused without endpoints; a pod reaches itself', async () => {
    await local.client.create(kinds.Service, service('web'));
    await create(
      shellPod('web', httpServer('hello'), {
        container: { readinessProbe: httpProbe },
        spec: onNode('node-1'),
      }),
    );
    await create(shellPod('asks', 'sleep 1000', { spec: onNode('node-1') }));
    await ready(local.client, 'web');
    await ready(local.client, 'asks');
    const ask = (pod: string, name: string) =>
      execInPod(local.client, pod, ['curl', '-sS', '-m', '2', `http://${name}/`]);
    const curl = existsSync('/usr/bin/curl');
    if (curl) {
      await eventually('through the service', async () =>
        (await ask('asks', 'web')).output.startsWith('hello'),
      );
      assert.match((await ask('web', 'web.default.svc.cluster.local')).output, /^hello/);
    }
    const port = await hostPort(local.state, 'default', 'web', 80);
    assert.match(await eventually('through the relay', () => fetchText(port)), /^hello 10\.243\.1\.1$/);
    await remove('web');
    if (curl) {
      const refused = await eventually('refused', async () => {
        const { exitCode, errors } = await ask('asks', 'web');
        return exitCode !== 0 && errors;
      });
      assert.match(refused, /refused|Couldn't connect|Failed to connect/);
    }
    await remove('asks');
  });
});

describe('nodes and processes', () => {
  test('a component killed -9 comes back and no pod notices', async () => {
    await create(shellPod('steady', 'sleep 1000'));
    const pod = await ready(local.client, 'steady');
    const { init } = await initOf(pod);
    const victims = local.processes().filter(({ role }) => /^(api|netd|controllers|agent-.*)$/.test(role));
    assert.equal(victims.length, 5);
    for (const { pid } of victims) signal(processRef(pid), 'SIGKILL');
    await eventually('all of them again', () => {
      const now = local.processes().filter(({ pid }) => !victims.some((victim) => victim.pid === pid));
      return victims.every(({ role }) => now.some((found) => found.role === role));
    });
    await eventually('the pod through them', async () => {
      const { output } = await execInPod(local.client, 'steady', ['echo', 'here']);
      return output === 'here\n';
    });
    assert.equal(isAlive(init), true);
    assert.equal((await getPod(local.client, 'steady')).status!.containerStatuses![0]!.restartCount, 0);
    await remove('steady');
  });

  test('frozen, isolated, stopped and started again', async () => {
    await local.client.create(kinds.Service, service('far'));
    await create(
      shellPod('far', httpServer('far'), {
        container: { readinessProbe: httpProbe },
        spec: onNode('node-2'),
      }),
    );
    const pod = await ready(local.client, 'far');
    const port = await hostPort(local.state, 'default', 'far', 80);
    const answers = (): Promise<string> => eventually('an answer', () => fetchText(port));
    await answers();
    assert.equal((await node.freeze('node-2', local)).state, 'frozen');
    await assert.rejects(fetchText(port));
    await node.thaw('node-2', local);
    await answers();
    assert.equal((await node.isolate('node-2', local)).isolated, true);
    await assert.rejects(fetchText(port));
    await node.join('node-2', local);
    await answers();
    const reachesApi = async (): Promise<boolean> => {
      const connect = 'exec 3<>/dev/tcp/$KUBERNETES_SERVICE_HOST/$KUBERNETES_SERVICE_PORT';
      const probe = ['sh', '-c', `timeout 2 bash -c '${connect}' 2>/dev/null && echo yes || echo no`];
      return (await execInPod(local.client, 'far', probe)).output === 'yes\n';
    };
    assert.equal(await reachesApi(), true);
    assert.equal((await node.isolate('node-2', { ...local, keepClients: true })).isolated, true);
    await answers();
    assert.equal(await reachesApi(), false);
    await node.join('node-2', local);
    assert.equal(await reachesApi(), true);
    const { init } = await initOf(pod);
    assert.equal((await node.stop('node-2', local)).state, 'stopped');
    assert.equal(isAlive(init), false);
    assert.equal(isReady(await getPod(local.client, 'far')), true, 'nobody told the API');
    await node.start('node-2', local);
    await eventually('the restart', async () => {
      const now = await getPod(local.client, 'far');
      return isReady(now) && now.status!.containerStatuses![0]!.restartCount === 1;
    });
    await answers();
    await assert.rejects(node.stop('node-9', local), { code: 'UnknownNode' });
    await remove('far');
  });

  test('a supervisor killed -9 harms no pod; kill -9 of everything loses no data', async () => {
    const script = 'echo life >>/data/lives; cat /data/lives; sleep 1000';
    await create(
      shellPod('lives', script, {
        spec: { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] },
        container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
      }),
    );
    const pod = await ready(local.client, 'lives');
    const { init } = await initOf(pod);
    process.kill(local.info.supervisorPid, 'SIGKILL');
    await eventually('the supervisor dead', () => !processRef(local.info.supervisorPid));
    await local.up();
    assert.equal(isAlive(init), true);
    for (const { pid } of local.processes()) signal(processRef(pid), 'SIGKILL');
    await eventually('all dead', () => local.processes().length === 0 && !isAlive(init));
    await local.up();
    const again = await eventually('the pod again', async () => {
      const now = await getPod(local.client, 'lives');
      return isReady(now) && now.status!.containerStatuses![0]!.restartCount > 0 && now;
    });
    assert.equal(again.metadata.uid, pod.metadata.uid);
    await eventually('both lives', async () => (await logOf(local.client, 'lives')) === 'life\nlife\n');
  });

  test('up again finds it running; a second holder of the state is refused by name', async () => {
    const info = await local.up();
    assert.equal(info.alreadyRunning, true);
    assert.throws(
      () => lockState(stateLayout(local.state)),
      (error: Error) => {
        assert.match(error.message, new RegExp(`process ${info.supervisorPid}`));
        return true;
      },
    );
  });

  test('another user, and a path too long, are told', async (t) => {
    const long = join(tmpdir(), 'x'.repeat(80));
    await assert.rejects(up({ state: long }), { code: 'PathTooLong' });
    if (process.geteuid!() !== 0) return t.diagnostic('only root can make a folder of another user');
    const foreign = mkdtempSync(join(tmpdir(), 'pgherd-foreign-'));
    chownSync(foreign, 65534, 65534);
    await assert.rejects(up({ state: foreign }), { code: 'NotYours' });
    rmSync(foreign, { recursive: true });
  });

  test('down leaves no process and keeps the data; up goes on', async () => {
    assert.equal(await down({ state: local.state }), true);
    assert.deepEqual(local.processes(), []);
    assert.equal((await status({ state: local.state })).running, false);
    assert.equal(await down({ state: local.state }), false);
    await local.up();
    await eventually('the pod again', async () =>
      /life\nlife\nlife\n/.test(await logOf(local.client, 'lives')),
    );
  });
});
