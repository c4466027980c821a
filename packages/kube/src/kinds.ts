import type * as objects from './objects.ts';
import type { KubeObject } from './objects.ts';

/** Where a kind lives in the API. `T` is the type of its objects and exists only for the compiler. */
export interface Kind<T extends KubeObject = KubeObject> {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly __object?: T;
}

/** Declares a kind, a custom one for instance. */
export function defineKind<T extends KubeObject>(
  group: string,
  version: string,
  kind: string,
  plural: string,
  namespaced = true,
): Kind<T> {
  return { group, version, kind, plural, namespaced };
}

/** `v1`, or `apps/v1`. */
export function apiVersionOf(kind: Kind): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

const APPS = 'apps';
const RBAC = 'rbac.authorization.k8s.io';

/** The built-in kinds we use. `Event` is the one of core/v1. */
export const kinds = {
  Pod: defineKind<objects.Pod>('', 'v1', 'Pod', 'pods'),
  Service: defineKind<objects.Service>('', 'v1', 'Service', 'services'),
  Secret: defineKind<objects.Secret>('', 'v1', 'Secret', 'secrets'),
  ConfigMap: defineKind<objects.ConfigMap>('', 'v1', 'ConfigMap', 'configmaps'),
  PersistentVolumeClaim: defineKind<objects.PersistentVolumeClaim>(
    '',
    'v1',
    'PersistentVolumeClaim',
    'persistentvolumeclaims',
  ),
  PersistentVolume: defineKind<objects.PersistentVolume>(
    '',
    'v1',
    'PersistentVolume',
    'persistentvolumes',
    false,
  ),
  ServiceAccount: defineKind<objects.ServiceAccount>('', 'v1', 'ServiceAccount', 'serviceaccounts'),
  Event: defineKind<objects.CoreEvent>('', 'v1', 'Event', 'events'),
  Namespace: defineKind<objects.Namespace>('', 'v1', 'Namespace', 'namespaces', false),
  Node: defineKind<objects.Node>('', 'v1', 'Node', 'nodes', false),
  Endpoints: defineKind<objects.Endpoints>('', 'v1', 'Endpoints', 'endpoints'),
  Lease: defineKind<objects.Lease>('coordination.k8s.io', 'v1', 'Lease', 'leases'),
  Role: defineKind<objects.Role>(RBAC, 'v1', 'Role', 'roles'),
  RoleBinding: defineKind<objects.RoleBinding>(RBAC, 'v1', 'RoleBinding', 'rolebindings'),
  ClusterRole: defineKind<objects.ClusterRole>(RBAC, 'v1', 'ClusterRole', 'clusterroles', false),
  ClusterRoleBinding: defineKind<objects.ClusterRoleBinding>(
    RBAC,
    'v1',
    'ClusterRoleBinding',
    'clusterrolebindings',
    false,
  ),
  Deployment: defineKind<objects.Deployment>(APPS, 'v1', 'Deployment', 'deployments'),
  ReplicaSet: defineKind<objects.ReplicaSet>(APPS, 'v1', 'ReplicaSet', 'replicasets'),
  Job: defineKind<objects.Job>('batch', 'v1', 'Job', 'jobs'),
  CronJob: defineKind<objects.CronJob>('batch', 'v1', 'CronJob', 'cronjobs'),
  PodDisruptionBudget: defineKind<objects.PodDisruptionBudget>(
    'policy',
    'v1',
    'PodDisruptionBudget',
    'poddisruptionbudgets',
  ),
  EndpointSlice: defineKind<objects.EndpointSlice>(
    'discovery.k8s.io',
    'v1',
    'EndpointSlice',
    'endpointslices',
  ),
  StorageClass: defineKind<objects.StorageClass>(
    'storage.k8s.io',
    'v1',
    'StorageClass',
    'storageclasses',
    false,
  ),
  CustomResourceDefinition: defineKind<objects.CustomResourceDefinition>(
    'apiextensions.k8s.io',
    'v1',
    'CustomResourceDefinition',
    'customresourcedefinitions',
    false,
  ),
} as const;
