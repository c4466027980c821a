import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type AnyObject,
  Client,
  createEventRecorder,
  type Deployment,
  isKubeError,
  type Kind,
  type KubeObject,
  kinds,
  type Node,
  type PersistentVolumeClaim,
  type Pod,
  silent,
  time,
} from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { startControllers } from './start.ts';

/** The controllers against the real API server of local mode. The test plays the agents of the nodes. */

const state = mkdtempSync(join(tmpdir(), 'pgherd-controllers-'));
const stop = new AbortController();
const NS = 'default';
let api: ChildProcess;
let port = 0;
let client: Client;
let controllers: Client;

async function startApi(): Promise<void> {
  const main = fileURLToPath(new URL('../api/main.ts', import.meta.url));
  api = spawn(process.execPath, [main, '--state', state, '--port', String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(api.stdout!, 'data');
}

async function killApi(): Promise<void> {
  const gone = once(api, 'exit');
  api.kill('SIGKILL');
  await gone;
}

before(async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  port = (probe.address() as { port: number }).port;
  probe.close();
  writeFileSync(
    join(state, 'config.json'),
    JSON.stringify({ version: 1, apiPort: port, nodes: [], images: {} }),
  );
  await startApi();
  client = new Client(await loadKubeconfig({ path: join(state, 'kubeconfig') }));
  controllers = new Client(await loadKubeconfig({ path: join(state, 'pki', 'controllers.kubeconfig') }));
  const events = createEventRecorder(controllers, 'controllers');
  await startControllers({ client: controllers, events, log: silent, state, signal: stop.signal });
  for (const name of ['n1', 'n2', 'n3']) await client.create(kinds.Node, node(name));
  for (const name of ['n1', 'n2', 'n3']) await sayReady(name);
});

after(async () => {
  stop.abort();
  client?.close();
  controllers?.close();
  if (api?.exitCode === null) await killApi();
  rmSync(state, { recursive: true, force: true });
});

function node(name: string): Node {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'kubernetes.io/hostname': name } } };
}

async function sayReady(name: string): Promise<void> {
  const at = time(new Date());
  const condition = { type: 'Ready', status: 'True', lastHeartbeatTime: at, lastTransitionTime: at };
  await client.patch(
    kinds.Node,
    { name },
    { type: 'strategic', subresource: 'status', body: { status: { conditions: [condition] } } },
  );
}

function pod(name: string, spec: Partial<Pod['spec']> = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: NS, name, ...metadata },
    spec: { containers: [{ name: 'c', image: 'x' }], ...spec },
  };
}

async function sayRunning(name: string, ip: string, ready = 'True'): Promise<void> {
  const at = time(new Date());
  const status = {
    phase: 'Running',
    podIP: ip,
    conditions: [{ type: 'Ready', status: ready, lastTransitionTime: at }],
  };
  await client.patch(
    kinds.Pod,
    { namespace: NS, name },
    { type: 'strategic', subresource: 'status', body: { status } },
  );
}

/** As an agent does once the containers of a deleted pod have ended. */
async function buryTerminating(): Promise<void> {
  for (const { metadata } of (await client.list(kinds.Pod)).items) {
    if (metadata.deletionTimestamp)
      await client.delete(kinds.Pod, metadata, { gracePeriodSeconds: 0 }).catch(() => {});
  }
}

async function until<T>(what: string, look: () => Promise<T | false | undefined>, ms = 8_000): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const get = <T extends KubeObject>(kind: Kind<T>, name: string) => client.find(kind, { namespace: NS, name });
const gone = (kind: Kind, name: string) => async () => (await get(kind, name)) === undefined;

async function endpoints(service: string): Promise<Record<string, boolean | undefined>> {
  const labelSelector = `kubernetes.io/service-name=${service}`;
  const { items } = await client.list(kinds.EndpointSlice, { namespace: NS, labelSelector });
  return Object.fromEntries(
    items
      .flatMap((slice) => slice.endpoints)
      .map(({ addresses, conditions }) => [addresses[0], conditions?.ready]),
  );
}

test('every namespace gets its account and the authority', async () => {
  await until('the account is there', () => get(kinds.ServiceAccount, 'default'));
  await until('the authority is there', () => get(kinds.ConfigMap, 'kube-root-ca.crt'));
});

test('a claim waits for its pod, gets a folder where the pod goes, and the folder goes with the claim', async () => {
  const claim: PersistentVolumeClaim = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { namespace: NS, name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
  await client.create(kinds.PersistentVolumeClaim, claim);
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }];
  await client.create(kinds.Pod, pod('user', { volumes, nodeSelector: { 'kubernetes.io/hostname': 'n2' } }));
  const bound = await until('the pod has a node', async () => {
    const found = await get(kinds.Pod, 'user');
    return found?.spec.nodeName ? found : false;
  });
  assert.equal(bound.spec.nodeName, 'n2');
  const filled = (await get(kinds.PersistentVolumeClaim, 'data'))!;
  assert.equal(filled.status?.phase, 'Bound');
  assert.equal(filled.status?.capacity?.storage, '1Gi');
  const volume = (await client.get(kinds.PersistentVolume, { name: filled.spec.volumeName! }))!;
  const path = volume.spec.hostPath!.path;
  assert.ok(existsSync(path) && path.startsWith(join(state, 'volumes')));

  const grow = { spec: { resources: { requests: { storage: '2Gi' } } } };
  await client.patch(kinds.PersistentVolumeClaim, claim.metadata, { type: 'merge', body: grow });
  await until(
    'it has grown',
    async () => (await get(kinds.PersistentVolumeClaim, 'data'))?.status?.capacity?.storage === '2Gi',
  );

  await client.delete(kinds.PersistentVolumeClaim, claim.metadata);
  assert.ok(await get(kinds.PersistentVolumeClaim, 'data'), 'a claim in use stays');
  await client.delete(kinds.Pod, { namespace: NS, name: 'user' }, { gracePeriodSeconds: 0 });
  await until('the claim is gone', gone(kinds.PersistentVolumeClaim, 'data'));
  await until('the folder is gone', async () => !existsSync(path));
  await until(
    'the volume is gone',
    async () => !(await client.find(kinds.PersistentVolume, volume.metadata)),
  );
});

test('pods that avoid each other spread; one too many waits, and goes when there is room', async () => {
  const affinity = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'alone' } } },
      ],
    },
  };
  const names = ['alone-1', 'alone-2', 'alone-3', 'alone-4'];
  await Promise.all(
    names.map((name) => client.create(kinds.Pod, pod(name, { affinity }, { labels: { app: 'alone' } }))),
  );
  const waiting = await until('three have nodes and one does not', async () => {
    const { items } = await client.list(kinds.Pod, { namespace: NS, labelSelector: 'app=alone' });
    const placed = items.filter(({ spec }) => spec.nodeName);
    if (placed.length !== 3) return false;
    assert.equal(new Set(placed.map(({ spec }) => spec.nodeName)).size, 3);
    const left = items.find(({ spec }) => !spec.nodeName);
    return left?.status?.conditions?.some(({ reason }) => reason === 'Unschedulable') ? left : false;
  });
  const said = waiting.status!.conditions!.find(({ type }) => type === 'PodScheduled')!.message!;
  assert.match(said, /0\/3 nodes are available: 3 node\(s\) didn't match pod anti-affinity rules/);
  const placed = names.find((name) => name !== waiting.metadata.name)!;
  await client.delete(kinds.Pod, { namespace: NS, name: placed }, { gracePeriodSeconds: 0 });
  await until('it has a node', async () => (await get(kinds.Pod, waiting.metadata.name))?.spec.nodeName);
  for (const name of names)
    await client.delete(kinds.Pod, { namespace: NS, name }, { gracePeriodSeconds: 0 }).catch(() => {});
});

test('endpoints follow the selector and the readiness within milliseconds', async () => {
  for (const [name, ip] of [
    ['db-1', '10.9.0.1'],
    ['db-2', '10.9.0.2'],
  ] as const) {
    await client.create(kinds.Pod, pod(name, {}, { labels: { db: 'x', instance: name } }));
    await sayRunning(name, ip);
  }
  await client.create(kinds.Service, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: NS, name: 'db-rw' },
    spec: { selector: { db: 'x', instance: 'db-1' }, ports: [{ port: 5432 }] },
  });
  await until('it leads to db-1', async () => (await endpoints('db-rw'))['10.9.0.1'] === true);
  const times: number[] = [];
  for (let n = 0; n < 20; n++) {
    const [name, ip] = n % 2 === 0 ? ['db-2', '10.9.0.2'] : ['db-1', '10.9.0.1'];
    const seen = firstEndpoint('db-rw', ip);
    await seen.open;
    const began = performance.now();
    const body = { spec: { selector: { instance: name } } };
    await client.patch(kinds.Service, { namespace: NS, name: 'db-rw' }, { type: 'merge', body });
    times.push((await seen.found) - began);
  }
  times.sort((a, b) => a - b);
  console.log(`selector to slice: median ${times[10]!.toFixed(1)} ms, worst ${times.at(-1)!.toFixed(1)} ms`);
  assert.ok(times[10]! < 100, 'a change of the selector is followed at once');
  assert.equal((await endpoints('db-rw'))['10.9.0.2'], undefined);

  await sayRunning('db-1', '10.9.0.1', 'False');
  await until('it is not ready', async () => (await endpoints('db-rw'))['10.9.0.1'] === false);
  const { items } = await client.list(kinds.EndpointSlice, {
    namespace: NS,
    labelSelector: 'kubernetes.io/service-name=db-rw',
  });
  const version = items[0]!.metadata.resourceVersion;
  await client.patch(
    kinds.Pod,
    { namespace: NS, name: 'db-1' },
    { type: 'merge', body: { metadata: { annotations: { a: 'b' } } } },
  );
  await client.delete(kinds.Service, { namespace: NS, name: 'db-rw' });
  await until('the slices are gone', async () => {
    const left = await client.list(kinds.EndpointSlice, {
      namespace: NS,
      labelSelector: 'kubernetes.io/service-name=db-rw',
    });
    for (const { metadata } of left.items)
      assert.equal(metadata.resourceVersion, version, 'no write for nothing');
    return left.items.length === 0;
  });
});

/** When a watch first shows `ip` as the only address of a service. */
function firstEndpoint(service: string, ip: string): { open: Promise<void>; found: Promise<number> } {
  const opened = Promise.withResolvers<void>();
  const end = new AbortController();
  const found = (async () => {
    const labelSelector = `kubernetes.io/service-name=${service}`;
    const { metadata } = await client.list(kinds.EndpointSlice, { namespace: NS, labelSelector });
    const options = {
      namespace: NS,
      labelSelector,
      resourceVersion: metadata.resourceVersion,
      signal: end.signal,
    };
    for await (const { type, object } of client.watch(kinds.EndpointSlice, {
      ...options,
      onOpen: opened.resolve,
    })) {
      if (type !== 'BOOKMARK' && object.endpoints.some(({ addresses }) => addresses[0] === ip)) {
        end.abort();
        return performance.now();
      }
    }
    throw new Error('the watch ended');
  })();
  return { open: opened.promise, found };
}

function deployment(image: string): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { namespace: NS, name: 'web' },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
    },
  };
}

const webPods = async () => (await client.list(kinds.Pod, { namespace: NS, labelSelector: 'app=web' })).items;

/** Plays the agent until the deployment says it is done. */
async function rollOut(): Promise<Deployment> {
  let ip = 10;
  return until('the roll is over', async () => {
    for (const one of await webPods()) {
      if (one.metadata.deletionTimestamp) await buryTerminating();
      else if (one.spec.nodeName && !one.status?.podIP) await sayRunning(one.metadata.name, `10.9.1.${ip++}`);
    }
    const now = (await get(kinds.Deployment, 'web'))!;
    const { updatedReplicas, availableReplicas, replicas, observedGeneration } = now.status ?? {};
    const done = updatedReplicas === 2 && availableReplicas === 2 && replicas === 2;
    return done && observedGeneration === now.metadata.generation ? now : false;
  });
}

test('a deployment rolls, never below what it promises, comes back, and goes with all it made', async () => {
  await client.create(kinds.Deployment, deployment('one'));
  const first = await rollOut();
  assert.equal(first.metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
  assert.equal(first.status?.conditions?.find(({ type }) => type === 'Available')?.status, 'True');
  const set = {
    type: 'merge' as const,
    body: { spec: { template: { spec: { containers: [{ name: 'c', image: 'two' }] } } } },
  };
  await client.patch(kinds.Deployment, first.metadata, set);
  await rollOut();
  assert.deepEqual(
    (await webPods()).map(({ spec }) => spec.containers[0]!.image),
    ['two', 'two'],
  );
  const sets = (await client.list(kinds.ReplicaSet, { namespace: NS })).items;
  assert.equal(sets.length, 2);

  await killApi();
  await startApi();
  const victim = (await webPods())[0]!;
  await client.delete(kinds.Pod, victim.metadata, { gracePeriodSeconds: 0 });
  await until('another took its place', async () => (await webPods()).length === 2);
  await rollOut();

  await client.delete(kinds.Deployment, first.metadata, { propagationPolicy: 'Foreground' });
  await until('all of it is gone', async () => {
    await buryTerminating();
    return !(await get(kinds.Deployment, 'web')) && (await webPods()).length === 0;
  });
  assert.equal((await client.list(kinds.ReplicaSet, { namespace: NS })).items.length, 0);
});

test('what is owned goes with its owner, or is let go as an orphan', async () => {
  const owned = (name: string, owner: AnyObject | KubeObject) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      namespace: NS,
      name,
      ownerReferences: [
        { apiVersion: 'v1', kind: 'ConfigMap', name: owner.metadata.name, uid: owner.metadata.uid! },
      ],
    },
  });
  const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: NS, name } });
  const a = await client.create(kinds.ConfigMap, map('owner-a'));
  await client.create(kinds.ConfigMap, owned('child-a', a));
  await client.delete(kinds.ConfigMap, a.metadata);
  await until('the child is gone', gone(kinds.ConfigMap, 'child-a'));
  const b = await client.create(kinds.ConfigMap, map('owner-b'));
  await client.create(kinds.ConfigMap, owned('child-b', b));
  await client.delete(kinds.ConfigMap, b.metadata, { propagationPolicy: 'Orphan' });
  await until('the owner is gone', gone(kinds.ConfigMap, 'owner-b'));
  const child = await get(kinds.ConfigMap, 'child-b');
  assert.deepEqual(child?.metadata.ownerReferences ?? [], []);
  const never = { ...owned('child-c', b), metadata: { ...owned('child-c', b).metadata, name: 'child-c' } };
  await client.create(kinds.ConfigMap, never);
  await until('who never had an owner goes too', gone(kinds.ConfigMap, 'child-c'));
});

test('custom resources own and are owned as soon as their kind is known', async () => {
  await client.create(kinds.CustomResourceDefinition, {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'things.test.io' },
    spec: {
      group: 'test.io',
      scope: 'Namespaced',
      names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  });
  const things: Kind = { group: 'test.io', version: 'v1', plural: 'things', kind: 'Thing', namespaced: true };
  const thing = await until('the kind is served', async () => {
    try {
      return await client.create(things, {
        apiVersion: 'test.io/v1',
        kind: 'Thing',
        metadata: { namespace: NS, name: 't' },
      });
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return false;
      throw error;
    }
  });
  const reference = {
    apiVersion: 'test.io/v1',
    kind: 'Thing',
    name: 't',
    uid: thing.metadata.uid!,
    controller: true,
  };
  const metadata = { namespace: NS, name: 'of-thing', ownerReferences: [reference] };
  await client.create(kinds.ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
  await client.delete(things, thing.metadata);
  await until('what it owned is gone', gone(kinds.ConfigMap, 'of-thing'));
});

test('a job runs until its pod succeeds', async () => {
  await client.create(kinds.Job, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { namespace: NS, name: 'once' },
    spec: { template: { spec: { containers: [{ name: 'c', image: 'x' }], restartPolicy: 'Never' } } },
  });
  const worker = await until('it has a pod', async () => {
    const { items } = await client.list(kinds.Pod, { namespace: NS, labelSelector: 'job-name=once' });
    return items[0];
  });
  const body = { status: { phase: 'Succeeded' } };
  await client.patch(kinds.Pod, worker.metadata, { type: 'merge', subresource: 'status', body });
  await until('it is complete', async () =>
    (await get(kinds.Job, 'once'))?.status?.conditions?.some(
      ({ type, status }) => type === 'Complete' && status === 'True',
    ),
  );
});

test('a budget counts its pods, and an eviction is allowed only by it', async () => {
  for (const n of [1, 2]) {
    await client.create(kinds.Pod, pod(`b-${n}`, {}, { labels: { app: 'budget' } }));
    await sayRunning(`b-${n}`, `10.9.2.${n}`);
  }
  await client.create(kinds.PodDisruptionBudget, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { namespace: NS, name: 'pdb' },
    spec: { minAvailable: 1, selector: { matchLabels: { app: 'budget' } } },
  });
  await until(
    'it allows one',
    async () => (await get(kinds.PodDisruptionBudget, 'pdb'))?.status?.disruptionsAllowed === 1,
  );
  const evict = (name: string) =>
    client.post(kinds.Pod, { namespace: NS, name }, 'eviction', {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { namespace: NS, name },
    });
  await evict('b-1');
  await assert.rejects(evict('b-2'), (error) => isKubeError(error, 'TooManyRequests'));
  await buryTerminating();
  await until(
    'it allows none',
    async () => (await get(kinds.PodDisruptionBudget, 'pdb'))?.status?.disruptionsAllowed === 0,
  );
});

test('a node that says it is not ready is tainted, and its pods are not ready any longer', async () => {
  const name = 'on-n3';
  await client.create(kinds.Pod, pod(name, { nodeName: 'n3' }));
  await sayRunning(name, '10.9.3.1');
  const condition = { type: 'Ready', status: 'False', lastTransitionTime: time(new Date()) };
  const body = { status: { conditions: [condition] } };
  await client.patch(kinds.Node, { name: 'n3' }, { type: 'strategic', subresource: 'status', body });
  await until('it is tainted', async () =>
    (await client.get(kinds.Node, { name: 'n3' })).spec?.taints?.some(({ effect }) => effect === 'NoExecute'),
  );
  await until('its pod is not ready', async () =>
    (await get(kinds.Pod, name))?.status?.conditions?.some(
      ({ type, status }) => type === 'Ready' && status === 'False',
    ),
  );
  await sayReady('n3');
  await until(
    'the taints are gone',
    async () => !(await client.get(kinds.Node, { name: 'n3' })).spec?.taints?.length,
  );
});

test('a pod goes when its node is removed', async () => {
  await client.create(kinds.Node, node('n4'));
  await client.create(kinds.Pod, pod('on-n4', { nodeName: 'n4' }));
  await client.delete(kinds.Node, { name: 'n4' });
  await until('it is gone', gone(kinds.Pod, 'on-n4'));
});

test('a namespace goes with all that is in it', async () => {
  await client.create(kinds.Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'short' } });
  await until('its account is there', () =>
    client.find(kinds.ServiceAccount, { namespace: 'short', name: 'default' }),
  );
  await client.create(kinds.Pod, pod('p', {}, { namespace: 'short' }));
  await client.delete(kinds.Namespace, { name: 'short' });
  await until('it is gone', async () => {
    await buryTerminating();
    return !(await client.find(kinds.Namespace, { name: 'short' }));
  });
});

test('at rest nothing is written', async () => {
  const version = async () =>
    Number((await client.list(kinds.Pod, { namespace: 'kube-public' })).metadata.resourceVersion);
  let before = await version();
  await until('all is quiet', async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = await version();
    const quiet = now === before;
    before = now;
    return quiet;
  });
});
