/** What a Cluster asks for with every default filled in: the only way code reads a spec. */

import { names } from '../names.ts';
import { parseBytes } from '../quantity.ts';
import type { Cluster } from './cluster.ts';
import { DEFAULTS } from './defaults.ts';
import { type EffectiveBackup, effectiveBackup } from './effective-backup.ts';
import type { ClusterSpec } from './spec.ts';

type Initdb = NonNullable<NonNullable<ClusterSpec['bootstrap']>['initdb']>;
type Affinity = NonNullable<ClusterSpec['affinity']>;
type SqlReferences = NonNullable<Initdb['postInitSQLRefs']>;

export interface EffectiveStorage {
  /** As written, for example 10Gi. */
  size: string;
  bytes: number;
  storageClass?: string;
}

export interface EffectiveSynchronous {
  method: 'any' | 'first';
  number: number;
  dataDurability: 'required' | 'preferred';
  /** At most so many instances are named as synchronous. */
  maxStandbyNames: number;
}

export interface EffectiveInitdb {
  database: string;
  owner: string;
  /** Name of the secret with the owner's login. */
  secret: string;
  /** True when that secret is ours to make. */
  ownSecret: boolean;
  encoding: string;
  locale: string;
  localeCollate?: string;
  localeCType?: string;
  localeProvider?: 'libc' | 'icu' | 'builtin';
  icuLocale?: string;
  icuRules?: string;
  builtinLocale?: string;
  dataChecksums: boolean;
  /** MB. */
  walSegmentSize: number;
  postInitSQL: string[];
  postInitApplicationSQL: string[];
  postInitTemplateSQL: string[];
  postInitSQLRefs: Required<SqlReferences>;
  postInitApplicationSQLRefs: Required<SqlReferences>;
  postInitTemplateSQLRefs: Required<SqlReferences>;
}

/** Times of the Lease in milliseconds. */
export interface EffectiveLease {
  renewMs: number;
  stopMs: number;
  guardMs: number;
  takeMs: number;
}

export interface EffectiveSpec {
  description?: string;
  instances: number;
  imageName: string;
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  storage: EffectiveStorage;
  walStorage?: EffectiveStorage;
  postgresql: {
    /** The user's own, with lower-case names. */
    parameters: Record<string, string>;
    pgHba: string[];
    pgIdent: string[];
    synchronous?: EffectiveSynchronous;
    sharedPreloadLibraries: string[];
  };
  initdb: EffectiveInitdb;
  /** Undefined: nothing is backed up or archived. */
  backup?: EffectiveBackup;
  /** Name of the secret with the superuser's login; only meaningful with enableSuperuserAccess. */
  superuserSecret: string;
  ownSuperuserSecret: boolean;
  enableSuperuserAccess: boolean;
  certificates: NonNullable<ClusterSpec['certificates']> & { serverAltDNSNames: string[] };
  imagePullSecrets: NonNullable<ClusterSpec['imagePullSecrets']>;
  topologySpreadConstraints: NonNullable<ClusterSpec['topologySpreadConstraints']>;
  priorityClassName?: string;
  probes: NonNullable<ClusterSpec['probes']>;
  resources: NonNullable<ClusterSpec['resources']>;
  affinity: Affinity &
    Required<Pick<Affinity, 'enablePodAntiAffinity' | 'podAntiAffinityType' | 'topologyKey'>>;
  env: NonNullable<ClusterSpec['env']>;
  envFrom: NonNullable<ClusterSpec['envFrom']>;
  inheritedMetadata: { labels: Record<string, string>; annotations: Record<string, string> };
  primaryLease: EffectiveLease;
  failoverDelayMs: number;
  /** Bytes of WAL; undefined: no limit. */
  maximumLag?: bigint;
  /** By instance; without an entry: 1. */
  failoverPriority: Record<string, number>;
  primaryStartTimeoutMs: number;
  startDelayMs: number;
  stopDelayMs: number;
  smartShutdownTimeoutMs: number;
  switchoverDelayMs: number;
  enablePDB: boolean;
  logLevel: NonNullable<ClusterSpec['logLevel']>;
}

function storage(given: ClusterSpec['storage']): EffectiveStorage {
  return { size: given.size, bytes: Number(parseBytes(given.size)), storageClass: given.storageClass };
}

function references(given: SqlReferences | undefined): Required<SqlReferences> {
  return { secretRefs: given?.secretRefs ?? [], configMapRefs: given?.configMapRefs ?? [] };
}

function initdb(cluster: string, given: Initdb = {}): EffectiveInitdb {
  const database = given.database ?? DEFAULTS.database;
  return {
    ...given,
    database,
    owner: given.owner ?? database,
    secret: given.secret?.name ?? names(cluster).app,
    ownSecret: given.secret === undefined,
    encoding: given.encoding ?? DEFAULTS.encoding,
    locale: given.locale ?? DEFAULTS.locale,
    dataChecksums: given.dataChecksums ?? true,
    walSegmentSize: given.walSegmentSize ?? DEFAULTS.walSegmentSize,
    postInitSQL: given.postInitSQL ?? [],
    postInitApplicationSQL: given.postInitApplicationSQL ?? [],
    postInitTemplateSQL: given.postInitTemplateSQL ?? [],
    postInitSQLRefs: references(given.postInitSQLRefs),
    postInitApplicationSQLRefs: references(given.postInitApplicationSQLRefs),
    postInitTemplateSQLRefs: references(given.postInitTemplateSQLRefs),
  };
}

/** Database and owner of a cluster that is not made by initdb. */
function applicationOf(bootstrap: ClusterSpec['bootstrap']): Initdb {
  const { database, owner, secret } = bootstrap?.recovery ?? bootstrap?.pg_basebackup ?? {};
  return {
    ...(database ? { database } : {}),
    ...(owner ? { owner } : {}),
    ...(secret ? { secret } : {}),
  };
}

function postgresql(
  instances: number,
  given: NonNullable<ClusterSpec['postgresql']> = {},
): EffectiveSpec['postgresql'] {
  const { synchronous } = given;
  const parameters = Object.entries(given.parameters ?? {}).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
  return {
    parameters: Object.fromEntries(parameters),
    pgHba: given.pg_hba ?? [],
    pgIdent: given.pg_ident ?? [],
    sharedPreloadLibraries: given.shared_preload_libraries ?? [],
    synchronous: synchronous && {
      method: synchronous.method,
      number: synchronous.number,
      dataDurability: synchronous.dataDurability ?? 'required',
      maxStandbyNames: synchronous.maxStandbyNamesFromCluster ?? instances,
    },
  };
}

function lease(given: NonNullable<ClusterSpec['primaryLease']> = {}): EffectiveLease {
  const times = { ...DEFAULTS.primaryLease, ...given };
  return {
    renewMs: times.renewInterval * 1_000,
    stopMs: times.stopAfter * 1_000,
    guardMs: times.guardAfter * 1_000,
    takeMs: times.takeAfter * 1_000,
  };
}

function affinity(given: Affinity = {}): EffectiveSpec['affinity'] {
  return {
    ...given,
    enablePodAntiAffinity: given.enablePodAntiAffinity ?? true,
    podAntiAffinityType: given.podAntiAffinityType ?? 'preferred',
    topologyKey: given.topologyKey ?? DEFAULTS.topologyKey,
  };
}

const inMs = (given: number | undefined, fallback: number) => (given ?? fallback) * 1_000;

/** The waits and deadlines of `spec`, in milliseconds. */
function delays(spec: ClusterSpec) {
  return {
    failoverDelayMs: inMs(spec.failoverDelay, DEFAULTS.failoverDelay),
    primaryStartTimeoutMs: inMs(spec.primaryStartTimeout, DEFAULTS.primaryStartTimeout),
    startDelayMs: inMs(spec.startDelay, DEFAULTS.startDelay),
    stopDelayMs: inMs(spec.stopDelay, DEFAULTS.stopDelay),
    smartShutdownTimeoutMs: inMs(spec.smartShutdownTimeout, DEFAULTS.smartShutdownTimeout),
    switchoverDelayMs: inMs(spec.switchoverDelay, DEFAULTS.switchoverDelay),
  };
}

/** What goes into the pods nearly as it is. */
function podFields(spec: ClusterSpec) {
  return {
    imagePullSecrets: spec.imagePullSecrets ?? [],
    topologySpreadConstraints: spec.topologySpreadConstraints ?? [],
    priorityClassName: spec.priorityClassName,
    probes: spec.probes ?? {},
    resources: spec.resources ?? {},
    affinity: affinity(spec.affinity),
    env: spec.env ?? [],
    envFrom: spec.envFrom ?? [],
  };
}

/**
 * The spec of `cluster` with every default filled in; durations in milliseconds, amounts in bytes.
 * Throws ApiError BadQuantity for amounts that are none; the API refuses those before they get here.
 */
export function effective(cluster: Pick<Cluster, 'metadata' | 'spec'>): EffectiveSpec {
  const { spec } = cluster;
  const { name } = cluster.metadata;
  const instances = spec.instances ?? DEFAULTS.instances;
  return {
    description: spec.description,
    instances,
    imageName: spec.imageName ?? DEFAULTS.imageName,
    imagePullPolicy: spec.imagePullPolicy,
    storage: storage(spec.storage),
    walStorage: spec.walStorage && storage(spec.walStorage),
    postgresql: postgresql(instances, spec.postgresql),
    // The owner of the application's database, whichever way the first instance gets its data.
    initdb: initdb(name, spec.bootstrap?.initdb ?? applicationOf(spec.bootstrap)),
    backup: spec.backup && effectiveBackup(cluster.metadata, spec.backup),
    superuserSecret: spec.superuserSecret?.name ?? names(name).superuser,
    ownSuperuserSecret: spec.superuserSecret === undefined,
    enableSuperuserAccess: spec.enableSuperuserAccess ?? false,
    certificates: { serverAltDNSNames: [], ...spec.certificates },
    ...podFields(spec),
    inheritedMetadata: {
      labels: spec.inheritedMetadata?.labels ?? {},
      annotations: spec.inheritedMetadata?.annotations ?? {},
    },
    primaryLease: lease(spec.primaryLease),
    ...delays(spec),
    maximumLag: spec.maximumLag === undefined ? undefined : parseBytes(spec.maximumLag),
    failoverPriority: spec.failoverPriority ?? {},
    enablePDB: spec.enablePDB ?? true,
    logLevel: spec.logLevel ?? DEFAULTS.logLevel,
  };
}
