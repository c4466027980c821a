import { CLUSTER_PLURAL, GROUP, names } from '@pgherd/api';
import type { PolicyRule, Role, RoleBinding, ServiceAccount } from '@pgherd/kube';
import { childMetadata, type SpecContext } from './metadata.ts';

const RBAC = 'rbac.authorization.k8s.io';
const READ = ['get', 'list', 'watch'];

/** Names of the Secrets and ConfigMaps that the instances of a cluster have to read. */
export function readableNames({ cluster, spec }: SpecContext): { secrets: string[]; configMaps: string[] } {
  const own = names(cluster.metadata.name);
  const { initdb } = spec;
  const references = [
    initdb.postInitSQLRefs,
    initdb.postInitApplicationSQLRefs,
    initdb.postInitTemplateSQLRefs,
  ];
  const secrets = [own.server, own.replication, initdb.secret];
  if (spec.enableSuperuserAccess) secrets.push(spec.superuserSecret);
  secrets.push(...references.flatMap(({ secretRefs }) => secretRefs.map(({ name }) => name)));
  const configMaps = references.flatMap(({ configMapRefs }) => configMapRefs.map(({ name }) => name));
  return { secrets: [...new Set(secrets)].sort(), configMaps: [...new Set(configMaps)].sort() };
}

/** What an instance may do in Kubernetes: little, and nearly all of it by name. */
export function instanceRules(context: SpecContext): PolicyRule[] {
  const { name } = context.cluster.metadata;
  const own = names(name);
  const { secrets, configMaps } = readableNames(context);
  return [
    { apiGroups: [GROUP], resources: [CLUSTER_PLURAL], resourceNames: [name], verbs: READ },
    { apiGroups: [''], resources: ['pods'], verbs: READ },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: [own.lease],
      verbs: [...READ, 'update'],
    },
    { apiGroups: [''], resources: ['services'], resourceNames: [own.rw], verbs: ['get', 'patch'] },
    { apiGroups: [''], resources: ['secrets'], resourceNames: secrets, verbs: READ },
    ...(configMaps.length > 0
      ? [{ apiGroups: [''], resources: ['configmaps'], resourceNames: configMaps, verbs: ['get'] }]
      : []),
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ];
}

export function serviceAccount(context: SpecContext): ServiceAccount {
  const { serviceAccount: name } = names(context.cluster.metadata.name);
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: childMetadata(context, name) };
}

export function instanceRole(context: SpecContext): Role {
  const { role } = names(context.cluster.metadata.name);
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'Role',
    metadata: childMetadata(context, role),
    rules: instanceRules(context),
  };
}

export function instanceRoleBinding(context: SpecContext): RoleBinding {
  const own = names(context.cluster.metadata.name);
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'RoleBinding',
    metadata: childMetadata(context, own.role),
    roleRef: { apiGroup: RBAC, kind: 'Role', name: own.role },
    subjects: [
      { kind: 'ServiceAccount', name: own.serviceAccount, namespace: context.cluster.metadata.namespace },
    ],
  };
}
