/** What people may do with our kinds: added to the roles `view`, `edit` and `admin` that every Kubernetes has. */
import { BACKUP_PLURAL, CLUSTER_PLURAL, GROUP, OPERATION_PLURAL, SCHEDULED_BACKUP_PLURAL } from '@pgherd/api';
import type { ClusterRole, PolicyRule } from '@pgherd/kube';

const RBAC = 'rbac.authorization.k8s.io';
const PLURALS = [CLUSTER_PLURAL, OPERATION_PLURAL, BACKUP_PLURAL, SCHEDULED_BACKUP_PLURAL];

/** Of those who may look: `view` has it, and `edit` and `admin` have what `view` has. */
export function viewRules(): PolicyRule[] {
  return [
    { apiGroups: [GROUP], resources: PLURALS, verbs: ['get', 'list', 'watch'] },
    { apiGroups: [GROUP], resources: [`${CLUSTER_PLURAL}/scale`], verbs: ['get'] },
    // Who leads; `edit` has it from Kubernetes.
    { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'list', 'watch'] },
  ];
}

/** Of those who may change what is in a namespace: `edit` has it, and `admin` has what `edit` has. */
export function editRules(): PolicyRule[] {
  return [
    {
      apiGroups: [GROUP],
      resources: PLURALS,
      verbs: ['create', 'update', 'patch', 'delete', 'deletecollection'],
    },
    { apiGroups: [GROUP], resources: [`${CLUSTER_PLURAL}/scale`], verbs: ['update', 'patch'] },
  ];
}

/** The two ClusterRoles, which Kubernetes adds to its own by their labels. */
export function userRoles(labels: Record<string, string>): ClusterRole[] {
  const role = (name: string, to: string, rules: PolicyRule[]): ClusterRole => ({
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: { name, labels: { ...labels, [`${RBAC}/aggregate-to-${to}`]: 'true' } },
    rules,
  });
  return [role('pgherd-view', 'view', viewRules()), role('pgherd-edit', 'edit', editRules())];
}
