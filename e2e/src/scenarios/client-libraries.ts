import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { Writable } from 'node:stream';
import type { Watch as WatchOf } from '@kubernetes/client-node';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** The official client libraries list, watch, patch and exec. */
export const clientLibraries: Scenario = {
  name: 'client-libraries',
  title: 'the official clients for JavaScript and Python, as their users use them',
  alongside: true,
  podSecurity: 'baseline',
  async run(stage) {
    await javascript(stage);
    stage.note(python(stage) ? "Python's client too" : "Python's client is not installed here");
  },
};

async function javascript(stage: Stage): Promise<void> {
  const k8s = await import('@kubernetes/client-node');
  const { namespace } = stage;
  const config = new k8s.KubeConfig();
  config.loadFromFile(stage.world.kubeconfig);
  const core = config.makeApiClient(k8s.CoreV1Api);

  const before = await core.listNamespacedConfigMap({ namespace });
  const watch = new k8s.Watch(config);
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const seen = follow(watch, path, before.metadata?.resourceVersion ?? '');
  try {
    const metadata = { name: 'watched', labels: { who: 'javascript' } };
    await core.createNamespacedConfigMap({ namespace, body: { metadata, data: { a: '1' } } });
    const patched = await core.patchNamespacedConfigMap(
      { namespace, name: 'watched', body: [{ op: 'replace', path: '/data/a', value: '2' }] },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch),
    );
    assert.equal(patched.data?.a, '2');
    const { items } = await core.listNamespacedConfigMap({ namespace, labelSelector: 'who=javascript' });
    assert.deepEqual(
      items.map((item) => item.metadata?.name),
      ['watched'],
    );
    await core.deleteNamespacedConfigMap({ namespace, name: 'watched' });
    assert.deepEqual(await seen.first(3), ['ADDED 1', 'MODIFIED 2', 'DELETED 2']);
  } finally {
    seen.stop();
  }
  await assert.rejects(
    core.readNamespacedConfigMap({ namespace, name: 'watched' }),
    (error: { code?: number }) => error.code === 404,
  );

  const container = { name: 'c', image: stage.world.image('postgresql'), command: ['sleep', '600'] };
  const spec = { terminationGracePeriodSeconds: 0, containers: [container] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: 'sleeper' }, spec } });
  const waited = await stage.kubectl(['wait', '--for=condition=Ready', 'pod/sleeper', '--timeout=120s']);
  assert.equal(waited.code, 0, waited.stderr);
  const result = await runInPod(new k8s.Exec(config), namespace);
  assert.equal(result.output, 'out\n');
  assert.equal(result.status.details?.causes?.[0]?.message, '4');
}

type Exec = InstanceType<typeof import('@kubernetes/client-node').Exec>;
type Status = import('@kubernetes/client-node').V1Status;

async function runInPod(exec: Exec, namespace: string): Promise<{ output: string; status: Status }> {
  let output = '';
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      output += chunk;
      done();
    },
  });
  const status = await new Promise<Status>((resolve, reject) => {
    exec
      .exec(namespace, 'sleeper', 'c', ['sh', '-c', 'echo out; exit 4'], stdout, null, null, false, resolve)
      .catch(reject);
  });
  return { output, status };
}

/** Gathers the events of a watch on config maps, other than the one that every namespace has. */
function follow(watch: WatchOf, path: string, resourceVersion: string) {
  const events: string[] = [];
  let wake = (): void => {};
  let failure: Error | undefined;
  const request = watch.watch(
    path,
    { resourceVersion, allowWatchBookmarks: true },
    (phase, object) => {
      if (object.metadata?.name === 'watched') events.push(`${phase} ${object.data.a}`);
      wake();
    },
    (error) => {
      failure = error;
      wake();
    },
  );
  return {
    async first(count: number): Promise<string[]> {
      const end = Date.now() + 10_000;
      while (events.length < count && !failure && Date.now() < end)
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 1000);
        });
      return events;
    },
    stop: () => void request.then((controller) => controller.abort()).catch(() => {}),
  };
}

const PYTHON = `
import sys
from kubernetes import client, config, watch
from kubernetes.stream import stream
config.load_kube_config(sys.argv[1])
namespace = sys.argv[2]
core = client.CoreV1Api()
version = core.list_namespaced_config_map(namespace).metadata.resource_version
core.create_namespaced_config_map(namespace, {"metadata": {"name": "python"}, "data": {"a": "1"}})
patched = core.patch_namespaced_config_map("python", namespace, {"data": {"a": "2"}})
assert patched.data["a"] == "2", patched
core.delete_namespaced_config_map("python", namespace)
events = []
w = watch.Watch()
for event in w.stream(core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=10):
    events.append(event["type"])
    if len(events) == 3:
        w.stop()
assert events == ["ADDED", "MODIFIED", "DELETED"], events
said = stream(core.connect_get_namespaced_pod_exec, "sleeper", namespace, command=["echo", "hello"],
              stderr=True, stdin=False, stdout=True, tty=False)
assert said == "hello\\n", repr(said)
answer = stream(core.connect_get_namespaced_pod_exec, "sleeper", namespace, command=["sh", "-c", "exit 5"],
                stderr=True, stdin=False, stdout=True, tty=False, _preload_content=False)
answer.run_forever(timeout=10)
assert answer.returncode == 5, answer.returncode
custom = client.CustomObjectsApi()
assert custom.list_namespaced_custom_object("pgherd.io", "v1", namespace, "clusters")["items"] == []
try:
    core.read_namespaced_config_map("python", namespace)
    raise SystemExit("a deleted object was read")
except client.ApiException as error:
    assert error.status == 404, error
`;

/** False where Python's client is not installed: it is Debian's package python3-kubernetes. */
function python(stage: Stage): boolean {
  const interpreter = ['/usr/bin/python3', 'python3'].find(
    (program) => spawnSync(program, ['-c', 'import kubernetes'], { stdio: 'ignore' }).status === 0,
  );
  if (!interpreter) return false;
  const result = spawnSync(interpreter, ['-c', PYTHON, stage.world.kubeconfig, stage.namespace], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(result.status, 0, result.stderr);
  return true;
}
