/** What a new cluster is to be restored from, with all that its instance has to know. */
import {
  type Backup,
  type EffectiveRepository,
  effectiveBackup,
  effectiveRepository,
  names,
  type RecoverySource,
  type RecoveryTargetSpec,
  type RepositorySource,
  readRecoverySource,
  repositoryClaimName,
  repositoryNumbers,
  repositorySecrets,
} from '@pgherd/api';
import type { Facts } from './facts.ts';
import type { ClusterObject } from './kind.ts';

export type FindCluster = (name: string) => ClusterObject | undefined;
/** Whether there is a volume claim of that name. */
export type FindClaim = (name: string) => boolean;
export type FindBackup = (name: string) => Promise<Backup | undefined>;

type Resolved = RecoverySource | { problem: string };

/** Out of `spec.bootstrap`; undefined for a cluster that begins empty. */
export async function bootstrapSource(
  cluster: ClusterObject,
  findCluster: FindCluster,
  findBackup: FindBackup,
  findClaim: FindClaim,
): Promise<Resolved | undefined> {
  const { recovery, pg_basebackup: copy } = cluster.spec.bootstrap ?? {};
  if (copy) return { from: 'cluster', cluster: copy.source.cluster };
  if (!recovery) return undefined;
  const { recoveryTarget: target } = recovery;
  const find = { findCluster, findClaim };
  if (!recovery.backup) return fromSource(cluster, find, recovery.source ?? {}, target);
  const { name } = recovery.backup;
  const backup = await findBackup(name);
  if (!backup) return { problem: `there is no Backup ${name}` };
  const { phase, label, repository, stanza, error } = backup.status ?? {};
  if (phase === 'Failed') return { problem: `the Backup ${name} failed: ${error}` };
  if (phase !== 'Completed' || !label)
    return { problem: `the Backup ${name} is not completed: it is ${phase ?? 'new'}` };
  return fromSource(
    cluster,
    find,
    {
      cluster: backup.spec.cluster.name,
      ...(repository ? { repositoryName: repository } : {}),
      ...(stanza ? { stanza } : {}),
    },
    { backupID: label, ...target },
  );
}

/** A repository, and its number where it is served. */
type Found = Pick<RepositorySource, 'repository' | 'number' | 'claim'>;

interface Find {
  findCluster: FindCluster;
  findClaim: FindClaim;
}

type Given = NonNullable<NonNullable<ClusterObject['spec']['bootstrap']>['recovery']>;

function fromSource(
  cluster: ClusterObject,
  find: Find,
  source: NonNullable<Given['source']>,
  target: Given['recoveryTarget'],
): Resolved {
  const owner = source.cluster ?? cluster.metadata.name;
  const found = repositoryOf(cluster, find, owner, source);
  if ('problem' in found) return found;
  return {
    from: 'repository',
    cluster: owner,
    ...(source.systemID ? { systemID: source.systemID } : {}),
    ...(source.stanza ? { stanza: source.stanza } : {}),
    ...found,
    ...(target ? { target } : {}),
  };
}

function repositoryOf(
  cluster: ClusterObject,
  find: Find,
  owner: string,
  { repository, repositoryName }: NonNullable<Given['source']>,
): Found | { problem: string } {
  const { name, namespace } = cluster.metadata;
  if (repository)
    return reachable(effectiveRepository(repository, `/pgherd/${namespace}/${owner}`), cluster, owner, find);
  const other = owner === name ? undefined : find.findCluster(owner);
  const left = other ? undefined : leftBehind(name, owner, repositoryName, find);
  if (left) return left;
  const holder = other ?? cluster;
  if (!holder.spec.backup)
    return {
      problem: other
        ? `cluster ${owner} has no spec.backup`
        : `there is no cluster ${owner}${owner === name ? ' with backups' : ''}: say where its backups are, by bootstrap.recovery.source.repository or by spec.backup`,
    };
  // The folder in a store is that of whose backups they are, also where this cluster's own destination is named.
  const { repositories } = effectiveBackup({ name: owner, namespace }, holder.spec.backup);
  const one = repositoryName ? repositories.find((each) => each.name === repositoryName) : repositories[0];
  if (!one) return { problem: noRepository(holder, repositoryName) };
  return reachable(one, cluster, owner, find);
}

/** The volume of a cluster that is gone, by the names of both: what is known of it is that nothing there is encrypted. */
function leftBehind(
  name: string,
  owner: string,
  repository: string | undefined,
  { findClaim }: Find,
): Found | undefined {
  if (owner === name || !repository) return undefined;
  const claim = repositoryClaimName(owner, repository);
  if (!findClaim(claim)) return undefined;
  const store = { kind: 'volume' as const, size: '0', bytes: 0 };
  return { repository: { name: repository, store, retention: {} }, number: 1, claim };
}

/** A volume is served by the pod of the cluster whose it is. */
function reachable(
  repository: EffectiveRepository,
  cluster: ClusterObject,
  owner: string,
  { findCluster, findClaim }: Find,
): Found | { problem: string } {
  const alone = { repository, number: 1 };
  if (repository.store.kind !== 'volume') return alone;
  const server = owner === cluster.metadata.name ? cluster : findCluster(owner);
  const serves = server?.spec.backup?.repositories.some(
    ({ name, volume }) => name === repository.name && volume,
  );
  if (server && serves) return { repository, number: numberOf(server, repository.name) };
  const claim = repositoryClaimName(owner, repository.name);
  if (!server && findClaim(claim)) return { ...alone, claim };
  return {
    problem: server
      ? `no repository ${repository.name} with a volume is in spec.backup of cluster ${owner}`
      : `there is neither a cluster ${owner} nor a volume claim ${claim}: bootstrap.recovery.source names the cluster and, by repositoryName, its repository`,
  };
}

/** Names of the Secrets that an instance needs to restore from there. */
export function sourceSecrets(cluster: string, source: RecoverySource): string[] {
  if (source.from === 'cluster') return [names(source.cluster).replication];
  const keys = repositorySecrets(source.repository).map(({ name }) => name);
  return source.cluster === cluster || source.claim ? keys : [...keys, names(source.cluster).replication];
}

/** The volume of a cluster that is gone, while this one is restored from there. */
export function foreignRepository(
  cluster: ClusterObject,
): { claim: string; encryption?: EffectiveRepository['encryption'] } | undefined {
  const source = sourceUnderWay(cluster);
  if (source?.from !== 'repository' || !source.claim) return undefined;
  const { encryption } = source.repository;
  return { claim: source.claim, ...(encryption ? { encryption } : {}) };
}

/** What is being restored by the status, if anything is. */
export function sourceUnderWay(cluster: ClusterObject): RecoverySource | undefined {
  return readRecoverySource(cluster.status?.restoration?.source);
}

function numberOf({ spec, status }: ClusterObject, name: string): number {
  const names = (spec.backup?.repositories ?? []).map((each) => each.name);
  return repositoryNumbers(names, status?.backup?.repositories).get(name) ?? 1;
}

/** A repository of the cluster itself, by name; the first without one. */
export function ownRepository(cluster: ClusterObject, name: string | undefined): Found | undefined {
  const { spec, metadata } = cluster;
  if (!spec.backup) return undefined;
  const { repositories } = effectiveBackup(metadata, spec.backup);
  const one = name ? repositories.find((each) => each.name === name) : repositories[0];
  return one && { repository: one, number: numberOf(cluster, one.name) };
}

/** Says that a cluster with backups has no repository of that name, and which it has. */
export function noRepository(
  { metadata, spec }: Pick<ClusterObject, 'metadata' | 'spec'>,
  name: string | undefined,
): string {
  const known = spec.backup?.repositories.map((each) => each.name).join(', ');
  return `cluster ${metadata.name} has no repository ${name}; it has: ${known}`;
}

/** What a running cluster is restored or cloned from; undefined where it has no such repository. */
export function ownSource(
  { cluster, lease }: Facts,
  repository: string | undefined,
  target: RecoveryTargetSpec | undefined,
): RepositorySource | undefined {
  const found = ownRepository(cluster, repository);
  const systemID = lease?.systemID ?? cluster.status?.systemID;
  return (
    found && {
      from: 'repository',
      cluster: cluster.metadata.name,
      ...(systemID ? { systemID } : {}),
      ...found,
      ...(target ? { target } : {}),
    }
  );
}
