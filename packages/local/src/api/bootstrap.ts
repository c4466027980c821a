/** What every cluster has from its first second: namespaces, the API's own Service, roles and bindings, the default class. */

import { randomUUID } from 'node:crypto';
import type { Store } from './store.ts';
import { type KubeObject, type Obj, same, timestamp } from './types.ts';

const RBAC = 'rbac.authorization.k8s.io';
const BOOTSTRAPPING = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };

interface Seed {
  storage: string;
  /** Kept equal to the seed at every start; other seeds are only created when missing. */
  enforced?: boolean;
  object: Obj & { kind: string; apiVersion: string; metadata: { name: string; namespace?: string } };
}

function rule(apiGroups: string[], resources: string[], verbs: string[]): Obj {
  return { apiGroups, resources, verbs };
}

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const ALL = ['*'];

function clusterRole(name: string, rules: Obj[], more: Obj = {}): Seed {
  const { labels, ...rest } = more as { labels?: Obj };
  return {
    storage: `clusterroles.${RBAC}`,
    enforced: true,
    object: {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRole',
      metadata: { name, labels: { ...BOOTSTRAPPING, ...labels } } as Seed['object']['metadata'],
      rules,
      ...rest,
    },
  };
}

function clusterBinding(
  name: string,
  role: string,
  subjects: { kind: 'User' | 'Group'; name: string }[],
): Seed {
  return {
    storage: `clusterrolebindings.${RBAC}`,
    enforced: true,
    object: {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name, labels: BOOTSTRAPPING } as Seed['object']['metadata'],
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: role },
      subjects: subjects.map((subject) => ({ ...subject, apiGroup: RBAC })),
    },
  };
}

function aggregate(to: string): Obj {
  return {
    aggregationRule: {
      clusterRoleSelectors: [{ matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${to}`]: 'true' } }],
    },
  };
}

/** What those who work in a namespace do with its pods, and what these say. */
const INSIDE_NAMESPACES = [
  'secrets',
  'pods/exec',
  'pods/attach',
  'pods/portforward',
  'pods/log',
  'pods/eviction',
  'serviceaccounts/token',
  'events',
];

const WORKLOADS = [
  rule(
    [''],
    [
      'pods',
      'services',
      'endpoints',
      'configmaps',
      'persistentvolumeclaims',
      'serviceaccounts',
      'replicationcontrollers',
      'replicationcontrollers/scale',
    ],
    [...READ, ...WRITE],
  ),
  rule(
    ['apps'],
    [
      'deployments',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
      'daemonsets',
      'controllerrevisions',
    ],
    [...READ, ...WRITE],
  ),
  rule(['batch'], ['jobs', 'cronjobs'], [...READ, ...WRITE]),
  rule(['networking.k8s.io'], ['ingresses', 'networkpolicies'], [...READ, ...WRITE]),
  rule(['policy'], ['poddisruptionbudgets'], [...READ, ...WRITE]),
  rule(['coordination.k8s.io'], ['leases'], [...READ, ...WRITE]),
];

const ROLES: Seed[] = [
  clusterRole('cluster-admin', [rule(ALL, ALL, ALL), { nonResourceURLs: ALL, verbs: ALL }]),
  clusterRole('system:public-info-viewer', [
    {
      nonResourceURLs: [
        '/healthz',
        '/healthz/*',
        '/livez',
        '/livez/*',
        '/readyz',
        '/readyz/*',
        '/version',
        '/version/',
      ],
      verbs: ['get'],
    },
  ]),
  clusterRole('system:discovery', [
    {
      nonResourceURLs: [
        '/api',
        '/api/*',
        '/apis',
        '/apis/*',
        '/healthz',
        '/livez',
        '/openapi',
        '/openapi/*',
        '/readyz',
        '/version',
        '/version/',
      ],
      verbs: ['get'],
    },
  ]),
  clusterRole('system:basic-user', [
    rule(['authorization.k8s.io'], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule(['authentication.k8s.io'], ['selfsubjectreviews'], ['create']),
  ]),
  clusterRole('system:node', [
    rule([''], ['nodes', 'nodes/status'], ['create', 'get', 'list', 'watch', 'patch', 'update', 'delete']),
    rule([''], ['pods'], [...READ, 'create', 'delete']),
    rule([''], ['pods/status'], ['patch', 'update', 'get']),
    rule([''], ['pods/eviction'], ['create']),
    rule(
      [''],
      [
        'secrets',
        'configmaps',
        'services',
        'endpoints',
        'namespaces',
        'persistentvolumes',
        'persistentvolumeclaims',
        'serviceaccounts',
      ],
      READ,
    ),
    rule([''], ['persistentvolumeclaims/status'], ['get', 'patch', 'update']),
    rule([''], ['serviceaccounts/token'], ['create']),
    rule(['', 'events.k8s.io'], ['events'], ['create', 'patch', 'update']),
    rule(
      ['coordination.k8s.io'],
      ['leases'],
      ['create', 'get', 'patch', 'update', 'delete', 'list', 'watch'],
    ),
    rule(['discovery.k8s.io'], ['endpointslices'], READ),
    rule(['storage.k8s.io'], ['storageclasses', 'csinodes', 'csidrivers', 'volumeattachments'], READ),
    rule(['authentication.k8s.io'], ['tokenreviews'], ['create']),
    rule(['authorization.k8s.io'], ['subjectaccessreviews', 'localsubjectaccessreviews'], ['create']),
  ]),
  clusterRole('system:node-proxier', [
    rule([''], ['services', 'endpoints', 'nodes', 'pods', 'namespaces'], READ),
    rule(['discovery.k8s.io'], ['endpointslices'], READ),
    rule(['', 'events.k8s.io'], ['events'], ['create', 'patch', 'update']),
  ]),
  clusterRole('system:controller-manager', [rule(ALL, ALL, ALL), { nonResourceURLs: ALL, verbs: ALL }]),
  clusterRole('system:auth-delegator', [
    rule(['authentication.k8s.io'], ['tokenreviews'], ['create']),
    rule(['authorization.k8s.io'], ['subjectaccessreviews'], ['create']),
  ]),
  clusterRole(
    'admin',
    [
      ...WORKLOADS,
      rule([''], [...INSIDE_NAMESPACES, 'namespaces'], [...READ, ...WRITE]),
      rule([RBAC], ['roles', 'rolebindings'], [...READ, ...WRITE]),
      rule(['authorization.k8s.io'], ['localsubjectaccessreviews'], ['create']),
    ],
    aggregate('admin'),
  ),
  clusterRole(
    'edit',
    [...WORKLOADS, rule([''], INSIDE_NAMESPACES, [...READ, ...WRITE]), rule([''], ['namespaces'], READ)],
    { ...aggregate('edit'), labels: { 'rbac.authorization.k8s.io/aggregate-to-admin': 'true' } },
  ),
  clusterRole(
    'view',
    [
      ...WORKLOADS.map((one) => ({ ...one, verbs: READ })),
      rule([''], ['pods/log', 'events', 'namespaces'], READ),
    ],
    { ...aggregate('view'), labels: { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' } },
  ),
];

const BINDINGS: Seed[] = [
  clusterBinding('cluster-admin', 'cluster-admin', [{ kind: 'Group', name: 'system:masters' }]),
  clusterBinding('system:public-info-viewer', 'system:public-info-viewer', [
    { kind: 'Group', name: 'system:authenticated' },
    { kind: 'Group', name: 'system:unauthenticated' },
  ]),
  clusterBinding('system:discovery', 'system:discovery', [{ kind: 'Group', name: 'system:authenticated' }]),
  clusterBinding('system:basic-user', 'system:basic-user', [{ kind: 'Group', name: 'system:authenticated' }]),
  clusterBinding('system:node', 'system:node', [{ kind: 'Group', name: 'system:nodes' }]),
  clusterBinding('system:node-proxier', 'system:node-proxier', [{ kind: 'User', name: 'system:kube-proxy' }]),
  clusterBinding('system:controller-manager', 'system:controller-manager', [
    { kind: 'User', name: 'system:kube-controller-manager' },
  ]),
];

function namespace(name: string): Seed {
  return {
    storage: 'namespaces',
    object: {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } as Seed['object']['metadata'],
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    },
  };
}

const API_SERVICE: Seed = {
  storage: 'services',
  object: {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { component: 'apiserver', provider: 'kubernetes' },
    } as Seed['object']['metadata'],
    spec: {
      clusterIP: '10.96.0.1',
      clusterIPs: ['10.96.0.1'],
      type: 'ClusterIP',
      sessionAffinity: 'None',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 6443 }],
    },
    status: { loadBalancer: {} },
  },
};

const LOCAL_CLASS: Seed = {
  storage: 'storageclasses.storage.k8s.io',
  object: {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: 'local',
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    } as Seed['object']['metadata'],
    provisioner: 'pgherd.io/local',
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
    allowVolumeExpansion: true,
  },
};

const SEEDS: Seed[] = [
  ...['default', 'kube-system', 'kube-public', 'kube-node-lease', 'pgherd-system'].map(namespace),
  ...ROLES,
  ...BINDINGS,
  API_SERVICE,
  LOCAL_CLASS,
];

/** Creates what is missing and repairs the roles; writes nothing when all is there. */
export function bootstrap(store: Store, nowMs: number): void {
  for (const { storage, object, enforced } of SEEDS) {
    const { name, namespace: inNamespace } = object.metadata;
    const existing = store.get(storage, inNamespace, name);
    if (!existing) {
      const metadata = { ...object.metadata, uid: randomUUID(), creationTimestamp: timestamp(nowMs) };
      store.create(storage, { ...object, metadata } as KubeObject);
    } else if (enforced && !matchesSeed(existing, object)) {
      store.update(storage, {
        ...existing,
        ...object,
        metadata: { ...existing.metadata, ...object.metadata },
      } as KubeObject);
    }
  }
}

function matchesSeed(existing: KubeObject, seed: Obj): boolean {
  return ['rules', 'roleRef', 'subjects', 'aggregationRule'].every((key) => same(existing[key], seed[key]));
}
