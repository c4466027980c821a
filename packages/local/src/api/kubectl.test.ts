/** The real kubectl against the server; skipped where there is none. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startTestApi, type TestApi } from './testing.ts';
import type { KubeObject, Obj } from './types.ts';

function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const DEPLOYMENT = (value: string) => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: c
        image: nginx:1
        env: [{name: A, value: "${value}"}]
        ports: [{containerPort: 80}]
`;

const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Size, type: string, jsonPath: .spec.size}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget, as everybody knows it.
        properties:
          spec:
            type: object
            description: What the widget is to be.
            properties:
              size: {type: string, description: How large it is., pattern: '^[0-9]+Gi$'}
              replicas: {type: integer, minimum: 1}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
`;

const WIDGET = (size: string) => `
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
spec: {size: ${size}, replicas: 1}
`;

interface Result {
  code: number;
  out: string;
  err: string;
}

describe('kubectl', { skip: hasKubectl() ? false : 'kubectl is not installed' }, () => {
  let api: TestApi;
  let home: string;
  before(async () => {
    api = await startTestApi();
    home = mkdtempSync(join(tmpdir(), 'pgherd-kubectl-'));
    await api.ask('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
  });
  after(async () => {
    await api.close();
    rmSync(home, { recursive: true, force: true });
  });

  const environment = () => ({
    ...process.env,
    KUBECONFIG: api.kubeconfig,
    HOME: home,
    KUBECTL_EXTERNAL_DIFF: 'diff -u',
  });

  function run(args: string, input?: string): Promise<Result> {
    return new Promise((resolve) => {
      const words = args.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, '')) ?? [];
      const child = execFile('kubectl', words, { env: environment(), timeout: 20_000 }, (error, out, err) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
      );
      child.stdin?.end(input ?? '');
    });
  }

  async function ok(args: string, input?: string): Promise<string> {
    const { code, out, err } = await run(args, input);
    assert.equal(code, 0, `kubectl ${args}: ${err || out}`);
    return out;
  }

  it('learns versions and resources', async () => {
    assert.match(await ok('version'), /Server Version: v1\./);
    const resources = await ok('api-resources');
    assert.match(resources, /^pods +po +v1 +true +Pod$/m);
    assert.match(await ok('api-versions'), /apps\/v1/);
    assert.equal(await ok('get --raw /readyz'), 'ok');
    assert.match(await ok('cluster-info'), /is running at/);
  });

  it('applies, sees no change, diffs, and applies a change of a list item', async () => {
    assert.match(await ok('apply -f -', DEPLOYMENT('1')), /deployment.apps\/web created/);
    assert.match(await ok('apply -f -', DEPLOYMENT('1')), /unchanged/);
    const diff = await run('diff -f -', DEPLOYMENT('2'));
    assert.equal(diff.code, 1, diff.err);
    assert.match(diff.out, /\+ +value: "2"/);
    assert.match(await ok('apply -f -', DEPLOYMENT('2')), /configured/);
    assert.equal(
      await ok("get deploy web -o 'jsonpath={.spec.template.spec.containers[0].env[0].value}'"),
      '2',
    );
  });

  it('applies on the server, with conflicts', async () => {
    assert.match(await ok('scale deploy web --replicas=5'), /scaled/);
    const refused = await run('apply --server-side -f -', DEPLOYMENT('2'));
    assert.equal(refused.code, 1);
    assert.match(refused.err, /conflict with "kubectl".*\.spec\.replicas/s);
    assert.match(
      await ok('apply --server-side --force-conflicts -f -', DEPLOYMENT('2')),
      /serverside-applied/,
    );
    assert.equal(await ok("get deploy web -o 'jsonpath={.spec.replicas}'"), '2');
  });

  it('shows', async () => {
    assert.match(await ok('get deploy'), /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +0\/2 +0 +0 +\S+\n$/);
    assert.match(await ok('get deploy -o wide'), /CONTAINERS +IMAGES +SELECTOR/);
    assert.match(await ok('get deploy web -o yaml'), /^kind: Deployment$/m);
    assert.match(await ok('get deploy,cm -A'), /kube-|default/);
    assert.equal(await ok('get deploy -l app=web -o name'), 'deployment.apps/web\n');
    assert.equal(await ok('get deploy --field-selector metadata.name=none -o name'), '');
    assert.match(await ok('describe deploy web'), /Selector: +app=web/);
    const missing = await run('get deploy none');
    assert.match(missing.err, /Error from server \(NotFound\): deployments.apps "none" not found/);
  });

  it('creates by its generators, whose bodies are protobuf', async () => {
    await ok('create configmap made --from-literal=a=b');
    assert.equal(await ok("get cm made -o 'jsonpath={.data.a}'"), 'b');
    await ok('create secret generic made --from-literal=p=q');
    assert.equal(await ok("get secret made -o 'jsonpath={.data.p}'"), 'cQ==');
    await ok('create deployment made --image=nginx:1 --replicas=0 --port=80');
    assert.equal(
      await ok(
        "get deploy made -o 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort}'",
      ),
      '0 80',
    );
    await ok('create namespace made');
    await ok('create serviceaccount made');
    await ok('create role made --verb=get --resource=pods');
    await ok('create rolebinding made --role=made --serviceaccount=default:made');
    await ok('create job made --image=busybox -- true');
    await ok('create cronjob made --image=busybox --schedule=@daily -- true');
    await ok('create service clusterip made --tcp=80');
    await ok('create poddisruptionbudget made --selector=a=b --min-available=1');
    await ok('run made --image=nginx');
    assert.match(await ok('create token made'), /^ey/);
    assert.match(await ok('auth can-i get pods --as=system:serviceaccount:default:made'), /yes/);
    assert.equal((await run('auth can-i get secrets --as=system:serviceaccount:default:made')).code, 1);
    assert.match(await ok('auth can-i --list'), /\*\.\*/);
    assert.match(await ok('auth whoami'), /kubernetes-admin/);
  });

  it('labels, annotates and patches in three ways', async () => {
    await ok('label cm made colour=red');
    await ok('annotate cm made note=x');
    assert.match(await ok('get cm made --show-labels'), /colour=red/);
    await ok(`patch cm made --type=merge -p '{"data":{"m":"1"}}'`);
    await ok(`patch cm made --type=json -p '[{"op":"add","path":"/data/j","value":"1"}]'`);
    await ok(
      `patch deploy made -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:2"}]}}}}'`,
    );
    assert.equal(
      await ok("get deploy made -o 'jsonpath={.spec.template.spec.containers[*].image}'"),
      'nginx:2',
    );
    await ok(`patch deploy made --subresource=status --type=merge -p '{"status":{"replicas":3}}'`);
    assert.equal(await ok("get deploy made -o 'jsonpath={.status.replicas}'"), '3');
    await ok('set image deploy/made nginx=nginx:3');
  });

  it('knows a custom resource', async () => {
    await ok('apply -f -', WIDGETS);
    assert.match(
      await ok('wait --for=condition=established crd/widgets.example.com --timeout=5s'),
      /condition met/,
    );
    assert.match(await ok('apply -f -', WIDGET('1Gi')), /created/);
    assert.match(await ok('apply -f -', WIDGET('2Gi')), /configured/);
    assert.match(await ok('get wd'), /^NAME +SIZE +AGE\nw +2Gi +\S+\n$/);
    assert.match(await ok('explain widget.spec'), /What the widget is to be/);
    assert.match(await ok('explain wd.spec.size'), /How large it is/);
    const wrong = await run('apply -f -', WIDGET('huge'));
    assert.match(wrong.err, /spec.size: Invalid value: "huge"/);
    const unknown = await run('apply -f -', `${WIDGET('3Gi')}extra: 1\n`);
    assert.match(unknown.err, /unknown field "extra"/);
    await ok('scale wd w --replicas=3');
    assert.equal(await ok("get wd w -o 'jsonpath={.spec.replicas}'"), '3');
    assert.match(await ok('apply --server-side -f - --force-conflicts', WIDGET('4Gi')), /serverside-applied/);
    assert.match(await ok('describe wd w'), /Size: +4Gi/);
    assert.match(await ok('get all'), /widget.example.com\/w/);
  });

  it('explains built-in kinds', async () => {
    assert.match(await ok('explain pod.spec.containers.env'), /List of environment variables/);
  });

  it('watches and waits', async () => {
    const watcher = spawn('kubectl', ['get', 'cm', '-w', '--output-watch-events'], { env: environment() });
    try {
      let out = '';
      const seen = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`kubectl get -w showed only: ${out}`)), 10_000);
        watcher.stdout.on('data', (chunk) => {
          out += chunk;
          if (out.includes('ADDED') && !out.includes('seen-by-watch')) void run('create cm seen-by-watch');
          if (/ADDED +seen-by-watch/.test(out)) {
            clearTimeout(timer);
            resolve();
          }
        });
      });
      await seen;
    } finally {
      watcher.kill();
    }
    const waiting = run(`wait --for=jsonpath={.data.done}=yes cm/made --timeout=10s`);
    await ok(`patch cm made --type=merge -p '{"data":{"done":"yes"}}'`);
    assert.equal((await waiting).code, 0);
  });

  it('shows events of an object', async () => {
    const cm = (await api.ask('GET', '/api/v1/namespaces/default/pods/made')).body as unknown as KubeObject;
    const event: Obj = {
      metadata: { name: 'made.1' },
      involvedObject: {
        kind: 'Pod',
        name: 'made',
        namespace: 'default',
        uid: cm.metadata.uid,
        apiVersion: 'v1',
      },
      type: 'Warning',
      reason: 'Testing',
      message: 'something happened',
      count: 1,
      firstTimestamp: new Date().toISOString(),
      lastTimestamp: new Date().toISOString(),
      source: { component: 'test' },
    };
    assert.equal((await api.ask('POST', '/api/v1/namespaces/default/events', event)).code, 201);
    assert.match(await ok('describe pod made'), /Testing.*something happened/);
    assert.match(await ok('events --for=pod/made'), /Testing/);
    assert.match(await ok('get events'), /Testing +pod\/made +something happened/);
  });

  it('deletes', async () => {
    assert.match(await ok('delete deploy web made'), /deleted/);
    assert.match(await ok('delete cm made --cascade=background'), /deleted/);
    assert.match(await ok('delete wd w --wait=true'), /deleted/);
    const finalizer = `{"metadata":{"finalizers":["example.com/hold"]}}`;
    await ok('create cm held');
    await ok(`patch cm held --type=merge -p '${finalizer}'`);
    const deleting = run('delete cm held --timeout=10s');
    await ok('wait --for=jsonpath={.metadata.deletionTimestamp} cm/held --timeout=5s');
    await ok(`patch cm held --type=merge -p '{"metadata":{"finalizers":null}}'`);
    assert.equal((await deleting).code, 0);
    await ok('delete crd widgets.example.com');
  });

  it('says plainly what is not there', async () => {
    const top = await run('top pods');
    assert.equal(top.code, 1);
    assert.match(top.err, /Metrics API not available/);
    const unknown = await run('apply -f -', '{apiVersion: apps/v1, kind: Deploiment, metadata: {name: a}}');
    assert.match(unknown.err, /no matches for kind "Deploiment" in version "apps\/v1"/);
  });
});
