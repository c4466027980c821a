/** What installs the operator, as plain objects: for `local up`, the chart and `install generate` alike. */
import {
  BACKUP_PLURAL,
  CLUSTER_PLURAL,
  customResourceDefinitions,
  GROUP,
  OPERATION_PLURAL,
  SCHEDULED_BACKUP_PLURAL,
} from '@pgherd/api';
import type { ClusterRole, Deployment, KubeObject, PolicyRule, ServiceAccount } from '@pgherd/kube';

export interface OperatorManifestsOptions {
  /** The image that holds /pgherd: operator, instance manager and guard. */
  image: string;
  replicas: number;
  /** Where the operator itself lives. */
  namespace: string;
  /** Namespaces whose clusters it looks after; missing: all. The rights are then given in these alone. */
  watchNamespaces?: string[];
}

const NAME = 'pgherd-operator';
const RBAC = 'rbac.authorization.k8s.io';
const LABELS = { 'app.kubernetes.io/name': 'pgherd', 'app.kubernetes.io/component': 'operator' };
const HEALTH_PORT = 8080;
const FOLLOW = ['list', 'watch'];
const READ = ['get', ...FOLLOW];

/**
 * All rights of the operator. It holds each right that it gives to instances (Kubernetes lets nobody give what
 * he has not); beyond those it makes and keeps their children.
 */
export function operatorRules(): PolicyRule[] {
  const rule = (group: string, resources: string[], verbs: string[]): PolicyRule => ({
    apiGroups: [group],
    resources,
    verbs,
  });
  return [
    // Never a spec: what is asked of the instances goes into annotations. Clones are made, and go if they fail.
    rule(GROUP, [CLUSTER_PLURAL], [...FOLLOW, 'create', 'patch', 'delete']),
    // Those that prove scheduled backups it makes itself.
    rule(GROUP, [OPERATION_PLURAL], [...FOLLOW, 'create', 'delete']),
    rule(GROUP, [`${CLUSTER_PLURAL}/status`, `${OPERATION_PLURAL}/status`], ['update']),
    // To own children with blockOwnerDeletion.
    rule(GROUP, [`${CLUSTER_PLURAL}/finalizers`], ['update']),
    rule('', ['pods', 'persistentvolumeclaims'], [...FOLLOW, 'create', 'patch', 'delete']),
    rule('', ['services'], [...READ, 'create', 'update', 'patch', 'delete']),
    rule('apps', ['deployments'], [...FOLLOW, 'create', 'update', 'delete']),
    // Those that its schedules made, and that tell nothing any more, it deletes.
    rule(GROUP, [BACKUP_PLURAL], [...FOLLOW, 'create', 'delete']),
    rule(GROUP, [SCHEDULED_BACKUP_PLURAL], FOLLOW),
    rule(GROUP, [`${BACKUP_PLURAL}/status`, `${SCHEDULED_BACKUP_PLURAL}/status`], ['update']),
    rule(GROUP, [`${SCHEDULED_BACKUP_PLURAL}/finalizers`], ['update']),
    rule('', ['secrets'], [...READ, 'create', 'update', 'delete']),
    rule('', ['serviceaccounts'], [...FOLLOW, 'create', 'update']),
    // Whether one is cordoned; only where all namespaces are looked after.
    rule('', ['nodes'], FOLLOW),
    rule('', ['configmaps'], ['get']),
    rule('', ['events'], ['create', 'patch']),
    rule(RBAC, ['roles', 'rolebindings'], [...FOLLOW, 'create', 'update']),
    rule('coordination.k8s.io', ['leases'], [...READ, 'create', 'update']),
    rule('policy', ['poddisruptionbudgets'], [...FOLLOW, 'create', 'update', 'delete']),
  ];
}

/** Everything that installs the operator, in the order in which it must be applied. */
export function operatorManifests(options: OperatorManifestsOptions): KubeObject[] {
  const { namespace } = options;
  const account: ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: NAME, namespace, labels: LABELS },
  };
  const role: ClusterRole = {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name: NAME, labels: LABELS },
    rules: operatorRules(),
  };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    ...(customResourceDefinitions() as unknown as KubeObject[]),
    account,
    role,
    ...bindings(options),
    deployment(options),
  ];
}

function bindings({ namespace, watchNamespaces }: OperatorManifestsOptions): KubeObject[] {
  const given = {
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: NAME },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace }],
  };
  const apiVersion = `${RBAC}/v1`;
  if (!watchNamespaces)
    return [
      {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata: { name: NAME, labels: LABELS },
        ...given,
      } as KubeObject,
    ];
  // In its own namespace too: its leader's Lease is there.
  return [...new Set([namespace, ...watchNamespaces])].map(
    (place) =>
      ({
        apiVersion,
        kind: 'RoleBinding',
        metadata: { name: NAME, namespace: place, labels: LABELS },
        ...given,
      }) as KubeObject,
  );
}

/** A node that has been silent for so long loses the operator to another one. */
const AWAY_SECONDS = 15;

function deployment({ image, replicas, namespace, watchNamespaces }: OperatorManifestsOptions): Deployment {
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: NAME, namespace, labels: LABELS },
    spec: {
      replicas,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          serviceAccountName: NAME,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 10,
          // It keeps nothing, and two are no harm: from a node that is silent it goes long before the usual five minutes.
          tolerations: ['not-ready', 'unreachable'].map((state) => ({
            key: `node.kubernetes.io/${state}`,
            operator: 'Exists',
            effect: 'NoExecute',
            tolerationSeconds: AWAY_SECONDS,
          })),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 65532,
            runAsGroup: 65532,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                {
                  weight: 100,
                  podAffinityTerm: {
                    topologyKey: 'kubernetes.io/hostname',
                    labelSelector: { matchLabels: LABELS },
                  },
                },
              ],
            },
          },
          containers: [
            {
              name: 'operator',
              image,
              command: ['/pgherd/bin/node', '/pgherd/operator.mjs'],
              env: [
                field('POD_NAME', 'metadata.name'),
                field('POD_NAMESPACE', 'metadata.namespace'),
                field('POD_UID', 'metadata.uid'),
                { name: 'OPERATOR_IMAGE', value: image },
                ...(watchNamespaces ? [{ name: 'WATCH_NAMESPACES', value: watchNamespaces.join(',') }] : []),
              ],
              ports: [{ name: 'health', containerPort: HEALTH_PORT, protocol: 'TCP' }],
              readinessProbe: {
                httpGet: { path: '/readyz', port: HEALTH_PORT },
                periodSeconds: 1,
                failureThreshold: 3,
              },
              livenessProbe: {
                httpGet: { path: '/healthz', port: HEALTH_PORT },
                periodSeconds: 10,
                failureThreshold: 3,
              },
              resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                readOnlyRootFilesystem: true,
                runAsNonRoot: true,
              },
            },
          ],
        },
      },
    },
  };
}
