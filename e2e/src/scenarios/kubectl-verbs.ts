import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { names } from '@pgherd/api';
import { kinds } from '@pgherd/kube';
import { portForward } from '@pgherd/kube/streams';
import pg from 'pg';
import type { Scenario } from '../scenario.ts';
import type { Stage } from '../stage.ts';

/** Among others a pod that talks, stores, and shows a file of a config map. */
const objects = (image: string) => `
apiVersion: v1
kind: Pod
metadata:
  name: box
  labels: {app: box}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsUser: 10001, runAsGroup: 10001, fsGroup: 10001}
  readinessGates: [{conditionType: example.com/open}]
  containers:
    - name: c
      image: ${image}
      command: [sh, -c, 'trap "exit 0" TERM; n=0; while :; do echo "line $n"; n=$((n+1)); sleep 0.2; done']
      volumeMounts: [{name: settings, mountPath: /settings}, {name: data, mountPath: /data}]
  volumes:
    - {name: settings, configMap: {name: settings}}
    - {name: data, persistentVolumeClaim: {claimName: data}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: '${image}', command: [sh, -c, 'echo I crash; exit 3']}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: failing}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 2
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: '${image}', command: ['false']}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: c, image: '${image}', command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 0.2; done']}
`;

interface Expected {
  code?: number;
  /** What standard output and error together must hold. */
  says?: RegExp;
  input?: string;
  env?: Record<string, string>;
}

class Kubectl {
  private readonly stage: Stage;
  commands = 0;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  /** Runs a command, words cut at spaces, further words as they are; returns its standard output. */
  async run(command: string, words: string[] = [], expected: Expected = {}): Promise<string> {
    this.commands++;
    const { code = 0, says, ...options } = expected;
    const result = await this.stage.kubectl([...command.split(' '), ...words], {
      timeoutMs: 130_000,
      ...options,
    });
    const said = result.stdout + result.stderr;
    assert.equal(result.code, code, `kubectl ${command} ${words.join(' ')}: ${said}`);
    if (says) assert.match(said, says, `kubectl ${command} ${words.join(' ')}`);
    return result.stdout;
  }
}

/** The verbs of kubectl, as it is installed here, on pods and on a cluster. */
export const kubectlVerbs: Scenario = {
  name: 'kubectl-verbs',
  title: 'the verbs of an unmodified kubectl',
  podSecurity: 'baseline',
  async run(stage) {
    const kubectl = new Kubectl(stage);
    const image = stage.world.image('postgresql');
    const folder = mkdtempSync(join(tmpdir(), 'pgherd-kubectl-'));
    try {
      await kubectl.run('create configmap settings --from-literal=mode=first');
      await kubectl.run('apply -f -', [], {
        input: stage.manifest(objects(image)),
        says: /deployment.apps\/web created/,
      });
      const cluster = stage.createCluster({ instances: 1 });
      cluster.catch(() => {});
      await writes(kubectl, folder, image);
      await streams(stage, kubectl, folder, image);
      await workloads(kubectl);
      await cluster;
      await forward(stage, kubectl);
      await forwardByChannels(stage);
      await deletes(kubectl);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    stage.note(`${kubectl.commands} commands`);
  },
};

async function writes(kubectl: Kubectl, folder: string, image: string): Promise<void> {
  await kubectl.run('version', [], { says: /Server Version/ });
  await kubectl.run('explain pod.spec.containers.image', [], { says: /image <string>/ });
  await kubectl.run('create secret generic s --from-literal=p=q');
  await kubectl.run('create deployment d --replicas=0 --image=x', [], { says: /created/ });
  await kubectl.run('create cronjob tick --schedule=@daily', [`--image=${image}`, '--', 'true']);
  const file = join(folder, 'map.yaml');
  const map = (value: string) =>
    writeFileSync(file, `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: "${value}"}\n`);
  map('1');
  await kubectl.run('apply -f', [file], { says: /created/ });
  map('2');
  await kubectl.run('diff -f', [file], { code: 1, says: /^\+ {2}a: "2"$/m });
  await kubectl.run('apply -f', [file, '--dry-run=server'], { says: /configured \(server dry run\)/ });
  await kubectl.run('apply --server-side --field-manager=one -f', [file, '--force-conflicts']);
  map('3');
  await kubectl.run('apply --server-side --field-manager=two -f', [file], {
    code: 1,
    says: /conflict with "one"/,
  });
  await kubectl.run('edit configmap m', [], { env: { KUBE_EDITOR: 'sed -i /a:/s/2/4/' }, says: /edited/ });
  assert.equal(await kubectl.run('get configmap m -o jsonpath={.data.a}'), '4');
  await kubectl.run('patch configmap m --type=json -p', ['[{"op":"add","path":"/data/b","value":"x"}]']);
  await kubectl.run('patch configmap m --type=merge -p', ['{"data":{"b":null}}']);
  await kubectl.run('label configmap m colour=red');
  await kubectl.run('annotate configmap m note=x');
  assert.match(await kubectl.run('get configmap -l colour=red -o name'), /^configmap\/m$/m);
  await kubectl.run('get configmap m', ['-o', 'go-template={{.data.a}}'], { says: /^4$/ });
  await kubectl.run('auth can-i delete pods --as=nobody', [], { code: 1, says: /^no/ });
  await kubectl.run('get --raw /readyz', [], { says: /^ok/ });
}

async function streams(stage: Stage, kubectl: Kubectl, folder: string, image: string): Promise<void> {
  await kubectl.run('wait --for=condition=ContainersReady pod/box --timeout=120s');
  await kubectl.run('exec box -- sh -c', ['echo out; echo err >&2; exit 7'], {
    code: 7,
    says: /out\n(.*\n)*err/,
  });
  assert.equal(await kubectl.run('exec -i box -- cat', [], { input: 'through' }), 'through');
  await kubectl.run('run ask -i --rm --restart=Never', [`--image=${image}`, '--', 'cat'], {
    input: 'typed',
    says: /typed/,
  });
  const words = join(folder, 'words');
  writeFileSync(words, 'copied\n');
  await kubectl.run('cp', [words, 'box:/data/words']);
  await kubectl.run('cp', ['box:/data/words', `${words}-back`]);
  assert.equal(readFileSync(`${words}-back`, 'utf8'), 'copied\n');
  assert.equal((await kubectl.run('logs box --tail=2')).trim().split('\n').length, 2);
  await kubectl.run('logs box --since=5s --timestamps', [], { says: /^\d{4}-.*Z line \d+$/m });
  // A kubelet keeps one dead container: after the second crash it may say that it has the log no more.
  const previous = stage.world.state ? /I crash/ : /I crash|unable to retrieve container logs/;
  await kubectl.run('logs crash --previous', [], { code: 0, says: previous });
  await kubectl.run('patch configmap settings -p', ['{"data":{"mode":"second"}}']);
  // A kubelet looks at each pod about once a minute.
  await kubectl.run('exec box -- sh -c', [
    'for n in $(seq 1200); do grep -q second /settings/mode && exit; sleep 0.1; done; exit 1',
  ]);
  if (await canGrow(stage)) await grow(kubectl);
  await kubectl.run('get pod box', [], { says: /box +1\/1 +Running/ });
  await kubectl.run('wait pod/box --for=condition=Ready=false --timeout=120s');
  await kubectl.run('patch pod box --subresource=status -p', [
    '{"status":{"conditions":[{"type":"example.com/open","status":"True"}]}}',
  ]);
  await kubectl.run('wait pod/box --for=condition=Ready --timeout=120s');
  await kubectl.run('events --for pod/box', [], { says: /Started/ });
  await kubectl.run('describe pod crash', [], { says: /Back-off restarting failed container/ });
}

async function grow(kubectl: Kubectl): Promise<void> {
  await kubectl.run('patch pvc data -p', ['{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}']);
  await kubectl.run('wait pvc/data --timeout=120s', ['--for=jsonpath={.status.capacity.storage}=2Gi']);
}

/** Whether volumes of the class that is used here can be made larger. */
async function canGrow(stage: Stage): Promise<boolean> {
  const name = (
    await stage.client.get(kinds.PersistentVolumeClaim, { namespace: stage.namespace, name: 'data' })
  ).spec.storageClassName;
  const found = name ? await stage.client.find(kinds.StorageClass, { name }) : undefined;
  return (found as { allowVolumeExpansion?: boolean } | undefined)?.allowVolumeExpansion === true;
}

async function workloads(kubectl: Kubectl): Promise<void> {
  await kubectl.run('rollout status deployment/web --timeout=120s');
  await kubectl.run('wait deployment/web --timeout=120s', ['--for=jsonpath={.status.readyReplicas}=2']);
  await kubectl.run('set env deployment/web COLOUR=blue');
  await kubectl.run('rollout status deployment/web --timeout=120s', [], { says: /successfully rolled out/ });
  await kubectl.run('rollout history deployment/web', [], { says: /^2 /m });
  await kubectl.run('scale deployment/web --replicas=3');
  await kubectl.run('wait deployment/web --timeout=120s', ['--for=jsonpath={.status.readyReplicas}=3']);
  await kubectl.run('create pdb web --selector=app=web --min-available=2');
  const node = await kubectl.run('get pods -l app=web', ['-o', 'jsonpath={.items[0].spec.nodeName}']);
  await kubectl.run('wait pdb/web --timeout=120s', ['--for=jsonpath={.status.disruptionsAllowed}=1']);
  try {
    await kubectl.run('drain', [node, '--pod-selector=app=web', '--timeout=35s'], { says: /drained/ });
  } finally {
    await kubectl.run('uncordon', [node]);
  }
  await kubectl.run('create job once --from=cronjob/tick');
  await kubectl.run('wait job/once --for=condition=complete --timeout=120s');
  await kubectl.run('wait job/failing --for=delete --timeout=120s');
}

/** `kubectl port-forward`, used by a real client. */
async function forward(stage: Stage, kubectl: Kubectl): Promise<void> {
  const { app, rw } = names(stage.cluster);
  const secret = JSON.parse(await kubectl.run(`get secret ${app} -o json`)) as {
    data: Record<string, string>;
  };
  const password = Buffer.from(secret.data.password ?? '', 'base64').toString();
  await kubectl.run(`get endpoints ${rw}`, [], { says: /:5432/ });
  for (const target of [`service/${rw}`, `pod/${stage.cluster}-1`]) {
    const child = spawn('kubectl', ['-n', stage.namespace, 'port-forward', target, ':5432'], {
      env: { ...process.env, KUBECONFIG: stage.world.kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 30_000,
    });
    try {
      const port = await new Promise<number>((resolve, reject) => {
        child.stdout.on('data', (text) => {
          const match = /127\.0\.0\.1:(\d+)/.exec(String(text));
          if (match) resolve(Number(match[1]));
        });
        child.once('close', () => reject(new Error(`kubectl port-forward ${target} ended`)));
      });
      const ssl = { rejectUnauthorized: false };
      const client = new pg.Client({ host: '127.0.0.1', port, user: 'app', database: 'app', password, ssl });
      await client.connect();
      client.on('error', () => {});
      const { rows } = await client.query("SELECT repeat('x', 3000000) AS large");
      assert.equal(rows[0].large.length, 3_000_000, `through ${target}`);
      await client.end();
    } finally {
      child.kill();
    }
  }
}

/** The older form of port-forward, which client libraries use: asks PostgreSQL whether it speaks TLS. */
async function forwardByChannels(stage: Stage): Promise<void> {
  const pod = { namespace: stage.namespace, name: `${stage.cluster}-1` };
  const connection = await portForward(stage.client, pod, 5432);
  connection.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]));
  const [answer] = (await once(connection, 'data', { signal: AbortSignal.timeout(10_000) })) as [Buffer];
  connection.destroy();
  assert.equal(answer.toString(), 'S');
}

async function deletes(kubectl: Kubectl): Promise<void> {
  await kubectl.run('patch configmap m --type=merge -p', [
    '{"metadata":{"finalizers":["example.com/keep"]}}',
  ]);
  await kubectl.run('delete configmap m --wait=false');
  assert.match(await kubectl.run('get configmap m', ['-o', 'jsonpath={.metadata.deletionTimestamp}']), /Z$/);
  await kubectl.run('patch configmap m --type=merge -p', ['{"metadata":{"finalizers":null}}']);
  await kubectl.run('get configmap m', [], { code: 1, says: /NotFound/ });
  await kubectl.run('delete deployment web --cascade=orphan');
  assert.match(await kubectl.run('get replicasets -o name'), /web-/);
  await kubectl.run('delete replicasets -l app=web --cascade=foreground --timeout=120s');
  assert.equal(await kubectl.run('get pods -l app=web -o name'), '');
  await kubectl.run('delete pod box crash --timeout=120s');
  await kubectl.run('delete pvc data --timeout=120s');
}
