/** The built-in kinds, as data. */
import type { Resource } from './types.ts';

const ALL_VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

interface Row {
  kind: string;
  plural: string;
  cluster?: true;
  short?: string[];
  categories?: string[];
  status?: true;
  scale?: true;
  generation?: Resource['generation'];
  selectable?: string[];
  putCreates?: true;
  putNeedsVersion?: true;
  returns?: true;
  subresources?: Resource['subresources'];
  storage?: string;
}

const SCALE: Resource['scale'] = {
  specPath: ['spec', 'replicas'],
  statusPath: ['status', 'replicas'],
  selectorPath: ['spec', 'selector'],
};

const CORE: Row[] = [
  {
    kind: 'Namespace',
    plural: 'namespaces',
    cluster: true,
    short: ['ns'],
    status: true,
    selectable: ['status.phase'],
    subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }],
  },
  {
    kind: 'Node',
    plural: 'nodes',
    cluster: true,
    short: ['no'],
    status: true,
    selectable: ['spec.unschedulable'],
  },
  {
    kind: 'Pod',
    plural: 'pods',
    short: ['po'],
    categories: ['all'],
    status: true,
    generation: 'spec',
    returns: true,
    selectable: [
      'spec.nodeName',
      'spec.restartPolicy',
      'spec.schedulerName',
      'spec.serviceAccountName',
      'spec.hostNetwork',
      'status.phase',
      'status.podIP',
      'status.nominatedNodeName',
    ],
    subresources: [
      { name: 'log', kind: 'Pod', verbs: ['get'] },
      { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] },
      { name: 'attach', kind: 'PodAttachOptions', verbs: ['create', 'get'] },
      { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
      { name: 'binding', kind: 'Binding', verbs: ['create'] },
      { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
      { name: 'ephemeralcontainers', kind: 'Pod', verbs: ['get', 'patch', 'update'] },
      { name: 'resize', kind: 'Pod', verbs: ['get', 'patch', 'update'] },
    ],
  },
  { kind: 'PodTemplate', plural: 'podtemplates', generation: 'spec' },
  {
    kind: 'ReplicationController',
    plural: 'replicationcontrollers',
    short: ['rc'],
    categories: ['all'],
    status: true,
    scale: true,
    generation: 'spec',
    selectable: ['status.replicas'],
  },
  {
    kind: 'Service',
    plural: 'services',
    short: ['svc'],
    categories: ['all'],
    status: true,
    returns: true,
    selectable: ['spec.clusterIP', 'spec.type'],
  },
  { kind: 'Endpoints', plural: 'endpoints', short: ['ep'] },
  { kind: 'ConfigMap', plural: 'configmaps', short: ['cm'] },
  { kind: 'Secret', plural: 'secrets', selectable: ['type'] },
  {
    kind: 'ServiceAccount',
    plural: 'serviceaccounts',
    short: ['sa'],
    returns: true,
    subresources: [
      {
        name: 'token',
        kind: 'TokenRequest',
        group: 'authentication.k8s.io',
        version: 'v1',
        verbs: ['create'],
      },
    ],
  },
  {
    kind: 'PersistentVolume',
    plural: 'persistentvolumes',
    cluster: true,
    short: ['pv'],
    status: true,
    returns: true,
  },
  {
    kind: 'PersistentVolumeClaim',
    plural: 'persistentvolumeclaims',
    short: ['pvc'],
    status: true,
    returns: true,
  },
  { kind: 'ResourceQuota', plural: 'resourcequotas', short: ['quota'], status: true },
  { kind: 'LimitRange', plural: 'limitranges', short: ['limits'] },
  {
    kind: 'Event',
    plural: 'events',
    short: ['ev'],
    storage: 'events',
    selectable: [
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'reportingComponent',
      'source',
      'type',
    ],
  },
];

const GROUPS: { group: string; version: string; rows: Row[] }[] = [
  { group: '', version: 'v1', rows: CORE },
  {
    group: 'apps',
    version: 'v1',
    rows: [
      {
        kind: 'Deployment',
        plural: 'deployments',
        short: ['deploy'],
        categories: ['all'],
        status: true,
        scale: true,
        generation: 'spec+annotations',
      },
      {
        kind: 'ReplicaSet',
        plural: 'replicasets',
        short: ['rs'],
        categories: ['all'],
        status: true,
        scale: true,
        generation: 'spec',
        selectable: ['status.replicas'],
      },
      {
        kind: 'StatefulSet',
        plural: 'statefulsets',
        short: ['sts'],
        categories: ['all'],
        status: true,
        scale: true,
        generation: 'spec',
      },
      {
        kind: 'DaemonSet',
        plural: 'daemonsets',
        short: ['ds'],
        categories: ['all'],
        status: true,
        generation: 'spec',
      },
      { kind: 'ControllerRevision', plural: 'controllerrevisions' },
    ],
  },
  {
    group: 'batch',
    version: 'v1',
    rows: [
      {
        kind: 'Job',
        plural: 'jobs',
        categories: ['all'],
        status: true,
        generation: 'spec',
        selectable: ['status.successful'],
      },
      {
        kind: 'CronJob',
        plural: 'cronjobs',
        short: ['cj'],
        categories: ['all'],
        status: true,
        generation: 'spec',
      },
    ],
  },
  {
    group: 'autoscaling',
    version: 'v2',
    rows: [
      {
        kind: 'HorizontalPodAutoscaler',
        plural: 'horizontalpodautoscalers',
        short: ['hpa'],
        categories: ['all'],
        status: true,
      },
    ],
  },
  {
    group: 'policy',
    version: 'v1',
    rows: [
      {
        kind: 'PodDisruptionBudget',
        plural: 'poddisruptionbudgets',
        short: ['pdb'],
        status: true,
        generation: 'spec',
      },
    ],
  },
  {
    group: 'coordination.k8s.io',
    version: 'v1',
    rows: [{ kind: 'Lease', plural: 'leases', putCreates: true, putNeedsVersion: true }],
  },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    rows: [{ kind: 'EndpointSlice', plural: 'endpointslices', generation: 'all' }],
  },
  {
    group: 'events.k8s.io',
    version: 'v1',
    rows: [
      {
        kind: 'Event',
        plural: 'events',
        short: ['ev'],
        storage: 'events',
        selectable: [
          'regarding.kind',
          'regarding.namespace',
          'regarding.name',
          'regarding.uid',
          'reason',
          'reportingController',
          'type',
        ],
      },
    ],
  },
  {
    group: 'networking.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'NetworkPolicy', plural: 'networkpolicies', short: ['netpol'], generation: 'spec' },
      { kind: 'Ingress', plural: 'ingresses', short: ['ing'], status: true, generation: 'spec' },
      { kind: 'IngressClass', plural: 'ingressclasses', cluster: true, generation: 'spec' },
    ],
  },
  {
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'Role', plural: 'roles', putCreates: true },
      { kind: 'RoleBinding', plural: 'rolebindings', putCreates: true },
      { kind: 'ClusterRole', plural: 'clusterroles', cluster: true, putCreates: true },
      { kind: 'ClusterRoleBinding', plural: 'clusterrolebindings', cluster: true, putCreates: true },
    ],
  },
  {
    group: 'scheduling.k8s.io',
    version: 'v1',
    rows: [{ kind: 'PriorityClass', plural: 'priorityclasses', cluster: true, short: ['pc'] }],
  },
  {
    group: 'storage.k8s.io',
    version: 'v1',
    rows: [
      { kind: 'StorageClass', plural: 'storageclasses', cluster: true, short: ['sc'], returns: true },
      { kind: 'CSIDriver', plural: 'csidrivers', cluster: true },
      { kind: 'CSINode', plural: 'csinodes', cluster: true },
      { kind: 'VolumeAttachment', plural: 'volumeattachments', cluster: true, status: true },
    ],
  },
  {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    rows: [
      {
        kind: 'ValidatingWebhookConfiguration',
        plural: 'validatingwebhookconfigurations',
        cluster: true,
        generation: 'all',
      },
      {
        kind: 'MutatingWebhookConfiguration',
        plural: 'mutatingwebhookconfigurations',
        cluster: true,
        generation: 'all',
      },
    ],
  },
  {
    group: 'apiextensions.k8s.io',
    version: 'v1',
    rows: [
      {
        kind: 'CustomResourceDefinition',
        plural: 'customresourcedefinitions',
        cluster: true,
        short: ['crd', 'crds'],
        categories: ['api-extensions'],
        status: true,
        generation: 'spec',
        returns: true,
      },
    ],
  },
];

function resourceOf(group: string, version: string, row: Row): Resource {
  return {
    group,
    version,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    kind: row.kind,
    listKind: `${row.kind}List`,
    namespaced: !row.cluster,
    shortNames: row.short ?? [],
    categories: row.categories ?? [],
    status: row.status ?? false,
    scale: row.scale ? SCALE : undefined,
    subresources: row.subresources,
    verbs: ALL_VERBS,
    storage: row.storage ?? (group ? `${row.plural}.${group}` : row.plural),
    selectable: row.selectable ?? [],
    putCreates: row.putCreates ?? false,
    putNeedsVersion: row.putNeedsVersion ?? false,
    generation: row.generation ?? 'none',
    deleteReturnsObject: row.returns ?? false,
  };
}

/** Every built-in kind this server keeps. */
export const BUILTIN: Resource[] = GROUPS.flatMap(({ group, version, rows }) =>
  rows.map((row) => resourceOf(group, version, row)),
);

/** A virtual resource: it answers a POST and stores nothing. */
function review(group: string, plural: string, kind: string, namespaced: boolean): Resource {
  return {
    ...resourceOf(group, 'v1', { kind, plural, ...(namespaced ? {} : { cluster: true as const }) }),
    verbs: ['create'],
  };
}

/** Kinds that are questions: posted, answered, never stored. */
export const REVIEWS: Resource[] = [
  review('authorization.k8s.io', 'selfsubjectaccessreviews', 'SelfSubjectAccessReview', false),
  review('authorization.k8s.io', 'selfsubjectrulesreviews', 'SelfSubjectRulesReview', false),
  review('authorization.k8s.io', 'subjectaccessreviews', 'SubjectAccessReview', false),
  review('authorization.k8s.io', 'localsubjectaccessreviews', 'LocalSubjectAccessReview', true),
  review('authentication.k8s.io', 'tokenreviews', 'TokenReview', false),
  review('authentication.k8s.io', 'selfsubjectreviews', 'SelfSubjectReview', false),
];

/** The resource of {@link BUILTIN} with this kind in this group; throws on a typo. */
export function builtin(group: string, kind: string): Resource {
  const found = BUILTIN.find((resource) => resource.group === group && resource.kind === kind);
  if (!found) throw new Error(`no built-in kind ${kind} in group "${group}"`);
  return found;
}
