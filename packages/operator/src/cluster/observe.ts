/** Gathers the facts about one cluster: caches, its Lease, its instances' answers. Writes nothing. */
import {
  ANNOTATION_SERIAL,
  type EffectiveSpec,
  effective,
  instanceSerial,
  LABEL_CLUSTER,
  type LeaseRecord,
  names,
  readLease,
} from '@pgherd/api';
import { type Client, type KubeObject, kinds, type Secret } from '@pgherd/kube';
import { BackupKind } from '../backup/kind.ts';
import { knownInfo, observeBackup } from './backup-facts.ts';
import type { BackupInfos } from './backup-infos.ts';
import type { ClusterCaches } from './caches.ts';
import { certificateSecrets } from './certificates.ts';
import {
  type Facts,
  type InstanceFacts,
  isLeader,
  isPodOver,
  isTerminating,
  type SpecProblem,
} from './facts.ts';
import type { ClusterObject } from './kind.ts';
import type { ClusterMemory } from './memory.ts';
import type { Nodes } from './nodes.ts';
import { authorityOf } from './plan-certificates.ts';
import { isOld } from './plan-restoration.ts';
import { bootstrapSource } from './recovery-source.ts';
import type { Answer, Reports } from './reports.ts';
import { specProblems } from './spec-problems.ts';
import { isLeftover, isOwned } from './specs/metadata.ts';
import { needsRepositoryPod } from './specs/repository.ts';
import { decoded } from './specs/secrets.ts';

export interface ObserveContext {
  client: Client;
  caches: ClusterCaches;
  reports: Reports;
  infos: BackupInfos;
  operatorImage: string;
  clusterDomain?: string;
  nodes?: Nodes;
  now: () => number;
  signal: AbortSignal;
}

/** Throws KubeError when the API cannot be asked for the Lease or a named secret: nothing is done on a guess. */
export async function observe(
  context: ObserveContext,
  cluster: ClusterObject,
  memory: ClusterMemory,
): Promise<Facts> {
  const { caches } = context;
  const spec = effective(cluster);
  const { name, namespace } = cluster.metadata;
  const own = names(name);
  const mine = <T extends KubeObject>(object: T | undefined) =>
    object && isOwned(object, cluster) ? marked(object, memory) : undefined;
  const { secrets, missing } = cachedSecrets(caches, cluster, spec);
  const instances = observeInstances(caches, cluster, memory);
  const [{ lease, leaseVersion, leaseProblem }, answers, named, recovery] = await Promise.all([
    observeLease(context, cluster),
    askInstances(context, cluster, instances, secrets),
    readSecrets(context, namespace, missing),
    recoveryOf(context, cluster),
  ]);
  for (const secret of named) if (!isLeftover(secret, cluster)) secrets.set(secret.metadata.name, secret);
  for (const instance of instances) Object.assign(instance, answers.get(instance.name));
  memory.highestSerial = Math.max(
    memory.highestSerial,
    cluster.status?.latestGeneratedNode ?? 0,
    ...instances.map(({ serial }) => serial),
    ...(lease?.members ?? []).map((member) => instanceSerial(name, member.name) ?? 0),
  );
  const backup = observeBackup(caches, cluster);
  const leader = instances.find((instance) => lease && isLeader({ lease }, instance));
  const key = `${namespace}/${name}`;
  const info = spec.backup && knownInfo(context.infos, cluster, leader, secrets);
  return {
    now: context.now(),
    backup: {
      ...backup,
      isStale: context.infos.isStale(key),
      open: context.infos.open(key),
      ...defined({ info, lastFailed: context.infos.lastFailed(key) }),
    },
    cluster,
    spec,
    operatorImage: context.operatorImage,
    problems: problemsOf(cluster, spec, memory),
    instances: instances.filter(({ name: one }) => !isOld(cluster, one)),
    old: instances.filter(({ name: one }) => isOld(cluster, one)),
    secrets,
    highestSerial: memory.highestSerial,
    asked: memory.asked,
    ...defined({
      verified: memory.verified,
      cordoned: context.nodes?.cordoned(),
      unready: context.nodes?.unready(),
      nodes: context.nodes?.names(),
      clusterDomain: context.clusterDomain,
      lease,
      leaseVersion,
      leaseProblem,
      leaseUnchangedMs: lease && unchangedMs(memory, leaseVersion),
      recovery,
      rw: mine(caches.services.get(namespace, own.rw)),
      ro: mine(caches.services.get(namespace, own.ro)),
      r: mine(caches.services.get(namespace, own.r)),
      serviceAccount: mine(caches.serviceAccounts.get(namespace, own.serviceAccount)),
      role: mine(caches.roles.get(namespace, own.role)),
      roleBinding: mine(caches.roleBindings.get(namespace, own.role)),
      budget: mine(caches.budgets.get(namespace, own.pdb)),
    }),
  };
}

function unchangedMs(memory: ClusterMemory, version: string | undefined): number {
  const at = performance.now();
  if (memory.lease?.version !== version) memory.lease = { version, since: at };
  return at - memory.lease!.since;
}

/** What the cluster is to begin with; of no interest once it has begun. */
async function recoveryOf(
  { client, caches, signal }: ObserveContext,
  cluster: ClusterObject,
): Promise<Facts['recovery']> {
  const { namespace } = cluster.metadata;
  const { systemID, recovered, restoration } = cluster.status ?? {};
  if (systemID || recovered || restoration || !cluster.spec.bootstrap) return undefined;
  return bootstrapSource(
    cluster,
    (name) => caches.clusters.get(namespace, name),
    (name) => client.findListed(BackupKind, { namespace, name }, { signal, timeoutMs: 5_000 }),
    (name) => caches.claims.get(namespace, name) !== undefined,
  );
}

function problemsOf(cluster: ClusterObject, spec: EffectiveSpec, memory: ClusterMemory): SpecProblem[] {
  const { generation } = cluster.metadata;
  if (!memory.problems || memory.problems.generation !== generation || generation === undefined)
    memory.problems = { generation, found: specProblems(cluster, spec) };
  return memory.problems.found;
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** An object whose deletion we have been told is under way counts as going, whatever the cache still says. */
function marked<T extends KubeObject>(object: T, memory: ClusterMemory): T {
  if (isTerminating(object) || !memory.deleted.has(object.metadata.uid ?? '')) return object;
  return { ...object, metadata: { ...object.metadata, deletionTimestamp: new Date(0).toISOString() } };
}

function observeInstances(
  caches: ClusterCaches,
  cluster: ClusterObject,
  memory: ClusterMemory,
): InstanceFacts[] {
  const { name, namespace } = cluster.metadata;
  const instances = new Map<string, InstanceFacts>();
  const filter = { namespace, labels: { [LABEL_CLUSTER]: name } };
  const pods = caches.pods.list(filter).filter((pod) => isOwned(pod, cluster));
  const claims = caches.claims.list(filter).filter((claim) => isOwned(claim, cluster));
  const of = (object: KubeObject): InstanceFacts | undefined => {
    const serial = Number(object.metadata.annotations?.[ANNOTATION_SERIAL]);
    if (!Number.isInteger(serial) || serial < 1) return undefined;
    const known = instances.get(`${name}-${serial}`) ?? { name: `${name}-${serial}`, serial };
    instances.set(known.name, known);
    return known;
  };
  for (const pod of pods) {
    const instance = of(pod);
    if (instance?.name === pod.metadata.name) instance.pod = marked(pod, memory);
  }
  for (const claim of claims) {
    const instance = of(claim);
    if (!instance) continue;
    if (claim.metadata.name === instance.name) instance.data = marked(claim, memory);
    else if (claim.metadata.name === `${instance.name}-wal`) instance.wal = marked(claim, memory);
  }
  forgetDeleted(memory, [...pods, ...claims]);
  return [...instances.values()].sort((a, b) => a.serial - b.serial);
}

function forgetDeleted(memory: ClusterMemory, present: KubeObject[]): void {
  const uids = new Set(present.map(({ metadata }) => metadata.uid));
  for (const uid of memory.deleted) if (!uids.has(uid)) memory.deleted.delete(uid);
}

async function observeLease(
  { client, signal }: ObserveContext,
  cluster: ClusterObject,
): Promise<{ lease?: LeaseRecord; leaseVersion?: string | undefined; leaseProblem?: string }> {
  const { name, namespace } = cluster.metadata;
  const ref = { namespace, name: names(name).lease };
  const lease = await client.find(kinds.Lease, ref, { signal, timeoutMs: 5_000 });
  // One of an earlier cluster of the same name says nothing about this one.
  if (!lease || !isOwned(lease, cluster)) return {};
  try {
    return {
      leaseVersion: lease.metadata.resourceVersion,
      lease: readLease({ ...lease, metadata: { ...lease.metadata }, spec: { ...lease.spec } }),
    };
  } catch (error) {
    const what = `the annotation pgherd.io/record of the Lease ${ref.name} cannot be read`;
    return { leaseProblem: `${what}: ${(error as Error).message} (it was changed by hand: put it back)` };
  }
}

function cachedSecrets(
  caches: ClusterCaches,
  cluster: ClusterObject,
  spec: EffectiveSpec,
): { secrets: Map<string, Secret>; missing: string[] } {
  const { name, namespace } = cluster.metadata;
  const own = names(name);
  const wanted = new Set([
    own.ca,
    own.server,
    own.replication,
    spec.initdb.secret,
    ...certificateSecrets({ spec }),
  ]);
  if (needsRepositoryPod({ cluster, spec })) wanted.add(own.backup);
  if (spec.enableSuperuserAccess) wanted.add(spec.superuserSecret);
  const found = [...wanted, own.superuser].flatMap((secret) => caches.secrets.get(namespace, secret) ?? []);
  const ours = found.filter((secret) => !isLeftover(secret, cluster));
  const secrets = new Map(ours.map((secret) => [secret.metadata.name, secret]));
  // A user's own secret bears no label of ours, so that no cache has it.
  return { secrets, missing: [...wanted].filter((secret) => !secrets.has(secret)) };
}

async function readSecrets(context: ObserveContext, namespace: string, wanted: string[]): Promise<Secret[]> {
  const { client, signal } = context;
  const read = (name: string) => client.find(kinds.Secret, { namespace, name }, { signal, timeoutMs: 5_000 });
  return (await Promise.all(wanted.map(read))).filter((secret) => secret !== undefined);
}

async function askInstances(
  { reports }: ObserveContext,
  cluster: ClusterObject,
  instances: InstanceFacts[],
  secrets: Map<string, Secret>,
): Promise<Map<string, Answer>> {
  const { name, namespace } = cluster.metadata;
  const own = names(name);
  const authority = authorityOf(secrets.get(own.ca));
  if (!authority) return new Map();
  return reports.ask({
    cluster: `${namespace}/${name}`,
    serverName: own.rw,
    authority,
    trusted: decoded(secrets.get(own.server), 'ca.crt') ?? authority.cert,
    instances: instances.flatMap(({ name: instance, pod }) => {
      const address = pod?.status?.podIP;
      if (!address || isPodOver(pod) || pod.status?.phase !== 'Running') return [];
      return [{ name: instance, podUID: pod.metadata.uid ?? '', address }];
    }),
  });
}
