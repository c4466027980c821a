/** The shared caches: one set for each watched namespace, or one for all. */
import { LABEL_CLUSTER } from '@pgherd/api';
import {
  type Cache,
  type CacheOptions,
  type Client,
  createCache,
  type Deployment,
  type Kind,
  type KubeObject,
  kinds,
  type Log,
  type PersistentVolumeClaim,
  type Pod,
  type PodDisruptionBudget,
  type Role,
  type RoleBinding,
  type Secret,
  type Service,
  type ServiceAccount,
} from '@pgherd/kube';
import { ClusterKind, type ClusterObject } from './kind.ts';

export interface ClusterCaches {
  clusters: Cache<ClusterObject>;
  pods: Cache<Pod>;
  claims: Cache<PersistentVolumeClaim>;
  services: Cache<Service>;
  secrets: Cache<Secret>;
  serviceAccounts: Cache<ServiceAccount>;
  roles: Cache<Role>;
  roleBindings: Cache<RoleBinding>;
  budgets: Cache<PodDisruptionBudget>;
  /** Of repository pods. */
  deployments: Cache<Deployment>;
}

/** Not the instances' Leases: each changes every two seconds. */
export function createClusterCaches(client: Client, namespace: string | undefined, log: Log): ClusterCaches {
  const options: CacheOptions<KubeObject> = { log, ...(namespace ? { namespace } : {}) };
  const children = <T extends KubeObject>(kind: Kind<T>): Cache<T> =>
    createCache(client, kind, { ...(options as CacheOptions<T>), labelSelector: LABEL_CLUSTER });
  return {
    clusters: createCache(client, ClusterKind, options as CacheOptions<ClusterObject>),
    pods: children(kinds.Pod),
    claims: children(kinds.PersistentVolumeClaim),
    services: children(kinds.Service),
    secrets: children(kinds.Secret),
    serviceAccounts: children(kinds.ServiceAccount),
    roles: children(kinds.Role),
    roleBindings: children(kinds.RoleBinding),
    budgets: children(kinds.PodDisruptionBudget),
    deployments: children(kinds.Deployment),
  };
}

export function eachCache(caches: ClusterCaches): Cache<KubeObject>[] {
  return Object.values(caches) as unknown as Cache<KubeObject>[];
}

/** Takes the answer of a write in, so that the next look does not plan it again. */
export function absorb(caches: ClusterCaches, object: KubeObject): void {
  for (const cache of eachCache(caches)) if (cache.kind.kind === object.kind) cache.absorb(object);
}
