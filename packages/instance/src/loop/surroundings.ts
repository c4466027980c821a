/** What is around this instance: the Cluster it belongs to, and the pods of its siblings. */
import {
  ANNOTATION_RELOAD,
  CLUSTER_KIND,
  CLUSTER_PLURAL,
  type Cluster,
  type EffectiveSpec,
  GROUP,
  LABEL_CLUSTER,
  LABEL_INSTANCE,
  VERSION,
} from '@pgherd/api';
import type { PodFact, Settings } from '@pgherd/ha';
import {
  type Cache,
  type Client,
  createCache,
  defineKind,
  type KubeObject,
  kinds,
  type Log,
  type Pod,
} from '@pgherd/kube';
import { containerStart, ownContainerID, podFacts } from './pods.ts';
import { settingsOf } from './settings.ts';

export type ClusterObject = KubeObject & Cluster;
export const ClusterKind = defineKind<ClusterObject>(GROUP, VERSION, CLUSTER_KIND, CLUSTER_PLURAL);

export interface SurroundingsOptions {
  client: Client;
  namespace: string;
  cluster: string;
  instance: string;
  podUID: string;
  log: Log;
  pods(pods: PodFact[]): void;
  self(containerID: string): void;
  /** Our pod is being deleted. The kubelet says so by a signal, too; one that comes too early for process 1 is lost. */
  deleted(): void;
  /** `reload`: the id of the last reload that was asked for. */
  wishes(eff: EffectiveSpec, settings: Settings, reload: string | undefined, cluster: ClusterObject): void;
}

export class Surroundings {
  readonly #o: SurroundingsOptions;
  readonly #clusters: Cache<ClusterObject>;
  readonly #pods: Cache<Pod>;
  #cluster: ClusterObject | undefined;
  #containerID: string | undefined;
  #owner: string | undefined;
  #told = '';
  #podsSynced = false;

  constructor(options: SurroundingsOptions) {
    this.#o = options;
    const { client, namespace, cluster, log } = options;
    this.#clusters = createCache(client, ClusterKind, {
      namespace,
      fieldSelector: `metadata.name=${cluster}`,
      log,
    });
    this.#pods = createCache(client, kinds.Pod, {
      namespace,
      labelSelector: `${LABEL_CLUSTER}=${cluster}`,
      log,
    });
  }

  start(signal: AbortSignal): void {
    this.#clusters.onChange((cluster) => cluster && this.#clusterChanged(cluster));
    this.#clusters.start(signal);
    this.#pods.onChange(() => this.#podsChanged());
    this.#pods.start(signal);
    // Before the list is complete, a pod that is missing from it may only be late.
    this.#pods.synced().then(
      () => {
        this.#podsSynced = true;
        this.#podsChanged();
      },
      () => undefined,
    );
  }

  /** The Cluster as last seen. */
  cluster(): ClusterObject | undefined {
    return this.#cluster;
  }

  /** UID of the Cluster that owns our pod; another one of its name may have been made since. */
  owner(): string | undefined {
    return this.#owner;
  }

  /** The address of an instance's pod: of the one that stays, if there are two of the name. */
  addressOf(instance: string): string | undefined {
    const pods = this.#pods
      .list({ labels: { [LABEL_INSTANCE]: instance } })
      .filter((pod) => pod.status?.podIP);
    const staying = pods.find((pod) => pod.metadata.deletionTimestamp === undefined);
    return (staying ?? pods[0])?.status?.podIP;
  }

  #clusterChanged(cluster: ClusterObject): void {
    this.#cluster = cluster;
    try {
      const { eff, settings } = settingsOf(cluster, this.#o.instance);
      this.#o.wishes(eff, settings, cluster.metadata.annotations?.[ANNOTATION_RELOAD], cluster);
    } catch (error) {
      this.#o.log.error({ error: String(error) }, 'the Cluster cannot be understood; the last settings stay');
    }
  }

  #podsChanged(): void {
    if (!this.#podsSynced) return;
    const pods = this.#pods.list();
    const facts = podFacts(pods);
    const text = JSON.stringify(facts);
    if (text !== this.#told) {
      this.#told = text;
      this.#o.pods(facts);
    }
    const own = pods.find((pod) => pod.metadata.uid === this.#o.podUID);
    this.#owner ??= own?.metadata.ownerReferences?.find(({ kind }) => kind === CLUSTER_KIND)?.uid;
    if (own?.metadata.deletionTimestamp) this.#o.deleted();
    if (this.#containerID) return;
    const containerID = ownContainerID(own, this.#o.podUID, containerStart(Date.now()));
    if (!containerID) return;
    this.#containerID = containerID;
    this.#o.self(containerID);
  }
}
