/** What can happen to a cluster in local mode, each with what makes it good again. */
import assert from 'node:assert/strict';
import { OPERATOR_LEASE } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import { type Deployment, kinds } from '@pgherd/kube';
import { api, node } from '@pgherd/local';
import type { Stage } from './stage.ts';
import { operatorDeployment, type World } from './world.ts';

/** Makes good what a fault broke. */
export type Undo = () => Promise<void>;

/** The node that an instance runs on. */
export async function nodeOf(stage: Stage, instance: string): Promise<string> {
  const { spec } = await stage.pod(instance);
  assert.ok(spec?.nodeName, `${instance} has no node`);
  return spec.nodeName;
}

/** A node on which that instance does not run, for what is to outlive a fault of its node. */
export async function nodeBeside(stage: Stage, instance: string): Promise<string> {
  const own = await nodeOf(stage, instance);
  const other = (await node.list({ state: stage.world.state })).find(({ name }) => name !== own);
  assert.ok(other, 'there is only one node');
  return other.name;
}

const pairs = {
  /** All that runs on the node is killed without a word, and its link is cut. */
  stop: [node.stop, node.start],
  /** All that runs on the node stands still. */
  freeze: [node.freeze, node.thaw],
  /** The node's link is cut; what runs on it runs on. */
  isolate: [node.isolate, node.join],
} as const;

/** Does that to a node. `keepClients`: an isolated one is still reached by clients of what runs there. */
export async function breakNode(
  world: World,
  name: string,
  how: keyof typeof pairs,
  { keepClients = false } = {},
): Promise<Undo> {
  const [act, undo] = pairs[how];
  const options = { state: world.state };
  await act(name, keepClients ? { ...options, keepClients } : options);
  return async () => {
    await undo(name, options);
  };
}

/** The API server is killed and stays away. */
export async function takeApiAway(world: World): Promise<Undo> {
  const options = { state: world.state };
  await api.stop(options);
  return () => api.start(options);
}

/** The operator is killed, not asked, and stays away. */
export async function takeOperatorAway(stage: Stage): Promise<Undo> {
  const deployment = await operatorDeployment(stage.client);
  await scaleOperator(stage, deployment, 0);
  return () => scaleOperator(stage, deployment, deployment.spec?.replicas ?? 1);
}

/** The pods that the operator has now. */
export async function operatorPods(stage: Stage) {
  const { metadata, spec } = await operatorDeployment(stage.client);
  const labels = Object.entries(spec.selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const { namespace } = metadata;
  return (await stage.client.list(kinds.Pod, { namespace, labelSelector: labels.join(',') })).items;
}

async function scaleOperator(stage: Stage, deployment: Deployment, replicas: number): Promise<void> {
  const ref = deployment.metadata;
  await stage.client.patch(kinds.Deployment, ref, { type: 'merge', body: { spec: { replicas } } });
  if (replicas === 0) {
    for (const pod of await operatorPods(stage)) {
      await stage.killEverythingOf(pod);
      await stage.client.delete(kinds.Pod, pod.metadata, { gracePeriodSeconds: 0 }).catch(() => {});
    }
  }
  await waitFor(
    async () =>
      (await operatorPods(stage)).filter((pod) => pod.status?.phase === 'Running').length === replicas,
    { timeoutMs: 60_000, everyMs: 50, describe: () => `the operator does not have ${replicas} pods` },
  );
  if (replicas > 0) await operatorWorks(stage);
}

/** What the status of a cluster says is old until one of the operator's pods has waited out the Lease of the last. */
async function operatorWorks(stage: Stage): Promise<void> {
  await waitFor(
    async () => {
      const pods = await operatorPods(stage);
      const namespace = pods[0]?.metadata.namespace;
      if (!namespace) return false;
      const lease = await stage.client.find(kinds.Lease, { namespace, name: OPERATOR_LEASE });
      return pods.some(({ metadata }) => lease?.spec?.holderIdentity?.startsWith(`${metadata.name}_`));
    },
    { timeoutMs: 60_000, everyMs: 50, describe: () => 'none of the pods of the operator leads' },
  );
}

/** The pod is deleted, as eviction and `kubectl delete` do; resolves once another one of its name is there. */
export async function deleteAndReplace(stage: Stage, name: string): Promise<void> {
  const old = await stage.pod(name);
  await stage.client.delete(kinds.Pod, { namespace: stage.namespace, name });
  await waitFor(
    async () => {
      const pod = await stage.client.find(kinds.Pod, { namespace: stage.namespace, name });
      return pod !== undefined && pod.metadata.uid !== old.metadata.uid;
    },
    { timeoutMs: 60_000, everyMs: 50, describe: () => `pod ${name} has not been made again` },
  );
}
