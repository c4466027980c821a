/** What a Cluster asks for with every default filled in: the only way code reads a spec. */

import { parseBytes } from '../quantity.ts';
import type { Cluster } from './cluster.ts';
import { DEFAULTS } from './defaults.ts';
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
  /** Name of the secret with the superuser's login; only meaningful with enableSuperuserAccess. */
  superuserSecret: string;
  ownSuperuserSecret: boolean;
  enableSuperuserAccess: boolean;
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
  primaryStartTimeoutMs: number;
  startDelayMs: number;
  stopDelayMs: number;
  smartShutdownTimeoutMs: number;
  switchoverDelayMs: number;
  enablePDB: boolean;
  logLevel: NonNullable<ClusterSpec['logLevel']>;
}

/**
 * The spec of `cluster` with every default filled in; durations in milliseconds, amounts in bytes.
 * Throws ApiError for amounts that are none, which the API refuses anyway.
 */
export function effective(cluster: Pick<Cluster, 'metadata' | 'spec'>): EffectiveSpec {
  throw new Error(`not yet: ${cluster.metadata.name} ${DEFAULTS.instances} ${parseBytes('1Gi')}`);
}
