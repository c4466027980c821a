/** What is known of a cluster's backups: their objects in Kubernetes, and what the repositories say. */
import { type BackupInfo, LABEL_CLUSTER, LABEL_REPOSITORY, names, stanzaName } from '@pgherd/api';
import type { Deployment, PersistentVolumeClaim, Secret, Service } from '@pgherd/kube';
import type { BackupInfos } from './backup-infos.ts';
import type { ClusterCaches } from './caches.ts';
import { type InstanceFacts, isPodOver } from './facts.ts';
import type { ClusterObject } from './kind.ts';
import { authorityOf } from './plan-certificates.ts';
import { isOwned } from './specs/metadata.ts';
import { decoded } from './specs/secrets.ts';

export interface BackupFacts {
  deployment?: Deployment;
  /** Of the repository pod. */
  service?: Service;
  /** Gives instances their names. */
  pods?: Service;
  /** Of repositories: those of earlier clusters of the name too. */
  claims: PersistentVolumeClaim[];
  /** What the repositories hold, as last heard. */
  info?: BackupInfo;
  /** That is from before the last backup ended. */
  isStale?: boolean;
  /** Names of Backups that have not ended. */
  open?: readonly string[];
  /** When a backup failed the last time (RFC 3339), as far as this operator knows. */
  lastFailed?: string;
}

/** From the caches alone. */
export function observeBackup(caches: ClusterCaches, cluster: ClusterObject): BackupFacts {
  const { name, namespace } = cluster.metadata;
  const own = names(name);
  const mine = <T extends Service | Deployment>(object: T | undefined) =>
    object && isOwned(object, cluster) ? object : undefined;
  const facts: BackupFacts = {
    claims: caches.claims
      .list({ namespace, labels: { [LABEL_CLUSTER]: name } })
      .filter(({ metadata }) => metadata.labels?.[LABEL_REPOSITORY] !== undefined),
  };
  const deployment = mine(caches.deployments.get(namespace, own.backup));
  const service = mine(caches.services.get(namespace, own.backup));
  const pods = mine(caches.services.get(namespace, own.pods));
  if (deployment) facts.deployment = deployment;
  if (service) facts.service = service;
  if (pods) facts.pods = pods;
  return facts;
}

/** Asks the leader what the repositories hold, now and then; what was heard last is what is known. */
export function knownInfo(
  infos: BackupInfos,
  cluster: ClusterObject,
  leader: InstanceFacts | undefined,
  secrets: ReadonlyMap<string, Secret>,
): BackupInfo | undefined {
  const { name, namespace } = cluster.metadata;
  const systemID = cluster.status?.systemID;
  const own = names(name);
  const authority = authorityOf(secrets.get(own.ca));
  const address = leader?.pod?.status?.podIP;
  if (!systemID || !authority || !address || isPodOver(leader.pod))
    return infos.known(`${namespace}/${name}`);
  return infos.ask({
    cluster: `${namespace}/${name}`,
    serverName: own.r,
    authority,
    trusted: decoded(secrets.get(own.server), 'ca.crt') ?? authority.cert,
    address,
    stanza: stanzaName(name, systemID),
  });
}
