import { CLUSTER_PLURAL, GROUP, names, repositorySecrets } from '@pgherd/api';
import type { PolicyRule, Role, RoleBinding, ServiceAccount } from '@pgherd/kube';
import { sourceSecrets, sourceUnderWay } from '../recovery-source.ts';
import { childMetadata, type SpecContext } from './metadata.ts';

const RBAC = 'rbac.authorization.k8s.io';

/** What the instances of a cluster have to read, by name. */
interface Readable {
  /** Followed as they change. */
  certificates: string[];
  /** Read when the database is made, and followed. */
  logins: string[];
  /** Read once. */
  secrets: string[];
  configMaps: string[];
}

function readableNames({ cluster, spec }: SpecContext): Readable {
  const own = names(cluster.metadata.name);
  const { initdb } = spec;
  const references = [
    initdb.postInitSQLRefs,
    initdb.postInitApplicationSQLRefs,
    initdb.postInitTemplateSQLRefs,
  ];
  const logins = [initdb.secret, ...(spec.enableSuperuserAccess ? [spec.superuserSecret] : [])];
  const secrets = [
    ...references.flatMap(({ secretRefs }) => secretRefs.map(({ name }) => name)),
    ...(spec.backup?.repositories ?? []).flatMap((one) => repositorySecrets(one).map(({ name }) => name)),
  ];
  const source = sourceUnderWay(cluster);
  if (source) secrets.push(...sourceSecrets(cluster.metadata.name, source));
  const configMaps = references.flatMap(({ configMapRefs }) => configMapRefs.map(({ name }) => name));
  return {
    certificates: unique([own.server, own.replication]),
    logins: unique(logins),
    secrets: unique(secrets),
    configMaps: unique(configMaps),
  };
}

function unique(list: string[]): string[] {
  return [...new Set(list)].sort();
}

const FOLLOW = ['list', 'watch'];

/** What an instance may do in Kubernetes: little, and nearly all of it by name. */
export function instanceRules(context: SpecContext): PolicyRule[] {
  const { name } = context.cluster.metadata;
  const own = names(name);
  const { certificates, logins, secrets, configMaps } = readableNames(context);
  return [
    { apiGroups: [GROUP], resources: [CLUSTER_PLURAL], resourceNames: [name], verbs: FOLLOW },
    { apiGroups: [''], resources: ['pods'], verbs: FOLLOW },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: [own.lease],
      verbs: ['get', ...FOLLOW, 'update'],
    },
    { apiGroups: [''], resources: ['services'], resourceNames: [own.rw], verbs: ['get', 'patch'] },
    ...byName('secrets', certificates, FOLLOW),
    ...byName('secrets', logins, ['get', ...FOLLOW]),
    ...byName('secrets', secrets, ['get']),
    ...byName('configmaps', configMaps, ['get']),
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
  ];
}

/** A rule without names would be one for all objects: no names, no rule. */
function byName(resource: string, resourceNames: string[], verbs: string[]): PolicyRule[] {
  return resourceNames.length > 0 ? [{ apiGroups: [''], resources: [resource], resourceNames, verbs }] : [];
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
