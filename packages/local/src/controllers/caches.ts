import {
  type Cache,
  type CacheOptions,
  type Client,
  createCache,
  type Kind,
  type KubeObject,
  kinds,
  type Log,
  type PersistentVolumeClaim,
  type Pod,
} from '@pgherd/kube';

/** Indexes that every cache here has. */
export const BY_UID = 'uid';
export const BY_OWNER = 'owner';
/** Indexes of the pod cache: by name of the node, and by `namespace/claim`. */
export const BY_NODE = 'node';
export const BY_CLAIM = 'claim';

type Indexes = Record<string, (object: never) => string[]>;

const EXTRA: Record<string, Indexes> = {
  pods: { [BY_NODE]: (pod: Pod) => (pod.spec.nodeName ? [pod.spec.nodeName] : []), [BY_CLAIM]: claimsOf },
  persistentvolumeclaims: {
    volume: (claim: PersistentVolumeClaim) => (claim.spec.volumeName ? [claim.spec.volumeName] : []),
  },
};

/** `namespace/name` of each claim that a pod mounts. */
export function claimsOf(pod: Pod): string[] {
  const names = (pod.spec.volumes ?? []).flatMap(
    ({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? [],
  );
  return names.map((name) => `${pod.metadata.namespace}/${name}`);
}

/** `pods`, `deployments.apps`: the name under which a kind is known here. */
export function resourceName(kind: Kind): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

/** One cache a kind, shared by all controllers, made when first asked for. */
export class Caches {
  private readonly client: Client;
  private readonly signal: AbortSignal;
  private readonly log: Log;
  private readonly known = new Map<string, { cache: Cache<KubeObject>; stop: AbortController }>();

  constructor(client: Client, signal: AbortSignal, log: Log) {
    this.client = client;
    this.signal = signal;
    this.log = log;
  }

  /** The cache of a kind, started. */
  of<T extends KubeObject>(kind: Kind<T>): Cache<T> {
    const name = resourceName(kind);
    const known = this.known.get(name);
    if (known) return known.cache as unknown as Cache<T>;
    const indexes = {
      [BY_UID]: (object: KubeObject) => (object.metadata.uid ? [object.metadata.uid] : []),
      [BY_OWNER]: (object: KubeObject) => (object.metadata.ownerReferences ?? []).map(({ uid }) => uid),
      ...EXTRA[name],
    } as CacheOptions<T>['indexes'];
    const cache = createCache(this.client, kind, { indexes, log: this.log, maxBackoffMs: 1_000 });
    const stop = new AbortController();
    this.known.set(name, { cache: cache as unknown as Cache<KubeObject>, stop });
    cache.start(AbortSignal.any([this.signal, stop.signal]));
    return cache;
  }

  /** Ends the cache of a kind that is gone. */
  drop(kind: Kind): void {
    const name = resourceName(kind);
    this.known.get(name)?.stop.abort();
    this.known.delete(name);
  }

  all(): Cache<KubeObject>[] {
    return [...this.known.values()].map(({ cache }) => cache);
  }

  /** Resolves when every cache asked for until now holds its first list. */
  async synced(): Promise<void> {
    await Promise.all(this.all().map((cache) => cache.synced()));
  }

  get pods() {
    return this.of(kinds.Pod);
  }
  get nodes() {
    return this.of(kinds.Node);
  }
  get namespaces() {
    return this.of(kinds.Namespace);
  }
  get services() {
    return this.of(kinds.Service);
  }
  get slices() {
    return this.of(kinds.EndpointSlice);
  }
  get claims() {
    return this.of(kinds.PersistentVolumeClaim);
  }
  get volumes() {
    return this.of(kinds.PersistentVolume);
  }
  get classes() {
    return this.of(kinds.StorageClass);
  }
  get deployments() {
    return this.of(kinds.Deployment);
  }
  get replicaSets() {
    return this.of(kinds.ReplicaSet);
  }
  get jobs() {
    return this.of(kinds.Job);
  }
  get cronJobs() {
    return this.of(kinds.CronJob);
  }
  get budgets() {
    return this.of(kinds.PodDisruptionBudget);
  }
  get leases() {
    return this.of(kinds.Lease);
  }
  get accounts() {
    return this.of(kinds.ServiceAccount);
  }
  get configMaps() {
    return this.of(kinds.ConfigMap);
  }
  get crds() {
    return this.of(kinds.CustomResourceDefinition);
  }
}
