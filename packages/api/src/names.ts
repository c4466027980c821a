/** Names and numbers that every part of pgherd agrees on. */

export const GROUP = 'pgherd.io';
export const VERSION = 'v1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const CLUSTER_KIND = 'Cluster';
export const CLUSTER_PLURAL = 'clusters';
export const BACKUP_KIND = 'Backup';
export const BACKUP_PLURAL = 'backups';
export const SCHEDULED_BACKUP_KIND = 'ScheduledBackup';
export const SCHEDULED_BACKUP_PLURAL = 'scheduledbackups';
export const OPERATION_KIND = 'Operation';
export const OPERATION_PLURAL = 'operations';

export const DEFAULT_POSTGRES_IMAGE = 'ghcr.io/pgherd/postgresql:15';
export const OPERATOR_IMAGE = 'ghcr.io/pgherd/pgherd:0.1.0';
export const OPERATOR_NAMESPACE = 'pgherd-system';
/** Held by the operator that works, in its own namespace. */
export const OPERATOR_LEASE = 'pgherd-operator';

export const POSTGRES_PORT = 5432;
export const MANAGER_PORT = 8000;
export const METRICS_PORT = 9187;
/** pgBackRest's own server, on instances and on the repository pod. */
export const PGBACKREST_PORT = 8432;

/** The user and group the database runs as inside its container. */
export const POSTGRES_UID = 26;
export const POSTGRES_GID = 26;

/** The PostgreSQL role replicas connect as; it is also the common name of their client certificate. */
export const REPLICATION_USER = 'streaming_replica';
/** The common name of the client certificate with which the operator asks instances for their state. */
export const OPERATOR_COMMON_NAME = 'pgherd-operator';

/** Room for the longest suffix we add (`-replication`) and for instance numbers within a DNS label. */
export const MAX_CLUSTER_NAME_LENGTH = 50;

/** What a name looks like that becomes part of the names of pods and services, and that in words. */
export const NAME_PATTERN = '^[a-z]([-a-z0-9]*[a-z0-9])?$';
export const NAME_SHAPE =
  'must begin with a letter, end with a letter or digit, and have only lower-case letters, digits and - between';

export interface ClusterNames {
  /** Service of the primary. */
  readonly rw: string;
  /** Service of the replicas. */
  readonly ro: string;
  /** Service of any instance. */
  readonly r: string;
  /** Secret with the application's login and connection strings. */
  readonly app: string;
  /** Secret with the superuser's login. */
  readonly superuser: string;
  /** Secret with the certificate authority. */
  readonly ca: string;
  /** Secret with the server certificate. */
  readonly server: string;
  /** Secret with the client certificate of replication. */
  readonly replication: string;
  /** Lease that says who leads. */
  readonly lease: string;
  /** Service without an address of its own that gives each instance a name: see instanceHost. */
  readonly pods: string;
  /** The repository pod, its Service, and the secret with its certificate. */
  readonly backup: string;
  readonly serviceAccount: string;
  readonly role: string;
  readonly pdb: string;
}

/** The names of everything that belongs to the cluster called `cluster`. */
export function names(cluster: string): ClusterNames {
  return {
    rw: `${cluster}-rw`,
    ro: `${cluster}-ro`,
    r: `${cluster}-r`,
    app: `${cluster}-app`,
    superuser: `${cluster}-superuser`,
    ca: `${cluster}-ca`,
    server: `${cluster}-server`,
    replication: `${cluster}-replication`,
    lease: `${cluster}-primary`,
    pods: `${cluster}-pods`,
    backup: `${cluster}-backup`,
    serviceAccount: cluster,
    role: cluster,
    pdb: cluster,
  };
}

/** The name of instance number `serial`: its pod and its data volume are called so. */
export function instanceName(cluster: string, serial: number): string {
  return `${cluster}-${serial}`;
}

/** The number of the instance called `instance`, or undefined when it is no instance of `cluster`. */
export function instanceSerial(cluster: string, instance: string): number | undefined {
  if (!instance.startsWith(`${cluster}-`)) return undefined;
  const digits = instance.slice(cluster.length + 1);
  return /^[1-9][0-9]{0,8}$/.test(digits) ? Number(digits) : undefined;
}

export function dataClaimName(instance: string): string {
  return instance;
}

export function walClaimName(instance: string): string {
  return `${instance}-wal`;
}

/** The name under which other pods reach an instance, for those that must check it against a certificate. */
export function instanceHost(cluster: string, namespace: string, instance: string): string {
  return `${instance}.${names(cluster).pods}.${namespace}.svc`;
}

/** The volume claim of a repository: it outlives the cluster. */
export function repositoryClaimName(cluster: string, repository: string): string {
  return `${names(cluster).backup}-${repository}`;
}

/** pgBackRest's name for all backups of one database: another database under the same name has another. */
export function stanzaName(cluster: string, systemID: string): string {
  return `${cluster}-${systemID}`;
}
