/** The namespaces of scenarios: one for each, and one for all that share a cluster. */
import { LABEL_CLUSTER } from '@pgherd/api';
import { ClusterKind, waitFor } from '@pgherd/cli';
import { type KubeObject, kinds } from '@pgherd/kube';
import type { Scenario } from './scenario.ts';
import type { World } from './world.ts';

const GONE_MS = 180_000;
const PODS_GONE_MS = 60_000;

export class Namespaces {
  readonly #world: World;
  /** What scenarios in a row share, while nothing has gone wrong in it. */
  #shared: string | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** Makes one, or takes the one that is shared; that goes once a scenario has no use for it. */
  async open(scenario: Scenario): Promise<string> {
    if (!scenario.shares) await this.end();
    const name = (scenario.shares && this.#shared) || this.#nameFor(scenario);
    if (name === this.#shared) return name;
    await this.#world.client.create(kinds.Namespace, namespaceOf(name, scenario));
    if (scenario.shares) this.#shared = name;
    return name;
  }

  /** Deletes it, unless others go on in it. */
  async close(name: string, passed: boolean): Promise<void> {
    if (passed && name === this.#shared) return;
    if (name === this.#shared) this.#shared = undefined;
    await cleanUp(this.#world, name);
  }

  /** No more scenarios share. */
  async end(): Promise<void> {
    if (this.#shared) await this.close(this.#shared, false);
  }

  #nameFor({ name, shares }: Scenario): string {
    return `e2e-${shares ? 'shared' : name}-${Math.random().toString(36).slice(2, 6)}`;
  }
}

function namespaceOf(name: string, { podSecurity = 'restricted' }: Scenario): KubeObject {
  const labels = { 'pod-security.kubernetes.io/enforce': podSecurity };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/** Deletes a scenario's namespace. A cluster that is not ours is left as it was: that is waited for. */
async function cleanUp(world: World, namespace: string): Promise<void> {
  const ref = { name: namespace };
  if (!world.state) await deleteClusters(world, namespace);
  await world.client.delete(kinds.Namespace, ref).catch(() => {});
  if (world.state) return;
  await waitFor(async () => (await world.client.find(kinds.Namespace, ref)) === undefined, {
    timeoutMs: GONE_MS,
    everyMs: 500,
    describe: () => `the namespace ${namespace} is still there`,
  }).catch((error: Error) => console.log(`     ${error.message}`));
}

/**
 * Clusters go before their namespace: while pods with a long grace period are in a namespace that is being deleted,
 * Kubernetes looks at it only every few minutes.
 */
async function deleteClusters({ client }: World, namespace: string): Promise<void> {
  const { items } = await client.list(ClusterKind, { namespace });
  for (const { metadata } of items) await client.delete(ClusterKind, metadata).catch(() => {});
  const ofClusters = { namespace, labelSelector: LABEL_CLUSTER };
  await waitFor(async () => (await client.list(kinds.Pod, ofClusters)).items.length === 0, {
    timeoutMs: PODS_GONE_MS,
    everyMs: 250,
    describe: () => `pods of clusters are still in ${namespace}`,
  }).catch((error: Error) => console.log(`     ${error.message}`));
}
