/** Out of what the operator says is to be restored: what the database is told, with a configuration of pgBackRest. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Cluster,
  type EffectiveSpec,
  type LiveSource,
  names,
  POSTGRES_PORT,
  parseTargetTime,
  REPLICATION_USER,
  type RecoveryTargetSpec,
  type RepositorySource,
  readRecoverySource,
  repositorySecrets,
} from '@pgherd/api';
import { type Client, kinds } from '@pgherd/kube';
import {
  conninfo,
  type RecoveryTarget,
  renderBackrest,
  repositoryOptions,
  writeDurable,
} from '@pgherd/postgres';
import { commonOptions, FOREIGN_CONFIG, resolveRepository } from '../backup/repositories.ts';
import { type Layout, tlsFiles } from '../database/layout.ts';
import type { CloneSpec, RecoverSpec } from '../database/recover.ts';
import { InstanceError } from '../errors.ts';

export interface RecoveryContext {
  client: Client;
  namespace: string;
  /** Name of the cluster this instance belongs to. */
  cluster: string;
  instance: string;
  layout: Layout;
}

/** Processes that restore at once where the spec says nothing. */
const PROCESSES = 4;

/**
 * What this instance is to restore; undefined when the cluster begins with nothing. Throws InstanceError
 * `ReferenceMissing` while the operator has not said it yet, or a secret is not there.
 */
export async function recoveryFor(
  c: RecoveryContext,
  cluster: Cluster,
  eff: EffectiveSpec,
): Promise<RecoverSpec | CloneSpec | undefined> {
  const { restoration, recovered } = cluster.status ?? {};
  if (restoration?.stage === 'restoring' && restoration.instance === c.instance) {
    const source = readRecoverySource(restoration.source);
    if (source?.from === 'repository') return repositorySpec(c, restoration.id, source, eff);
    if (source) return fromCluster(c, restoration.id, source);
  }
  const { recovery, pg_basebackup } = cluster.spec.bootstrap ?? {};
  if (!restoration && (recovered || (!recovery && !pg_basebackup))) return undefined;
  // An empty database instead of the one that was asked for would be the worst answer.
  throw new InstanceError(
    'ReferenceMissing',
    'restoring: the operator has not yet said what is to be restored',
  );
}

/** A target of the API as the database takes it. Throws ApiError BadTime. */
export function targetOf(target: RecoveryTargetSpec = {}): RecoveryTarget {
  const { targetTime, targetLSN, targetXID, targetName, targetImmediate, targetTLI, exclusive, backupID } =
    target;
  const time = targetTime === undefined ? undefined : parseTargetTime(targetTime);
  return {
    ...(time ? { time: { ms: time.ms, text: time.text } } : {}),
    ...(targetLSN ? { lsn: targetLSN } : {}),
    // PostgreSQL would read one that begins with 0 as octal.
    ...(targetXID ? { xid: String(BigInt(targetXID)) } : {}),
    ...(targetName ? { name: targetName } : {}),
    ...(targetImmediate ? { immediate: true } : {}),
    ...(targetTLI ? { timeline: targetTLI } : {}),
    ...(exclusive ? { exclusive: true } : {}),
    ...(backupID ? { backup: backupID } : {}),
  };
}

/** The same for a repository, whoever asks; the configuration of pgBackRest goes into a folder of that name. */
export async function repositorySpec(
  c: RecoveryContext,
  id: string,
  source: RepositorySource,
  eff: EffectiveSpec,
  place = 'recovery',
): Promise<RecoverSpec> {
  const folder = join(c.layout.run, place);
  await mkdir(join(folder, 'lock'), { recursive: true, mode: 0o700 });
  const config = await writeRepositoryConfig(c, source, folder, eff);
  const { cluster, systemID, stanza, completeUntil, needsProof, chosen } = source;
  return {
    id,
    access: { config, repository: source.number },
    owner: { cluster, ...(systemID ? { systemID } : {}), ...(stanza ? { stanza } : {}) },
    target: targetOf(source.target),
    ...(completeUntil ? { completeUntilMs: Date.parse(completeUntil) } : {}),
    ...(needsProof ? { needsProof } : {}),
    ...(chosen ? { chosen } : {}),
    processes: eff.backup?.parallelism ?? PROCESSES,
  };
}

async function writeRepositoryConfig(
  c: RecoveryContext,
  { repository, cluster, number, claim }: RepositorySource,
  folder: string,
  eff: EffectiveSpec,
): Promise<string> {
  const secrets = new Map<string, Record<string, string>>();
  for (const { name } of repositorySecrets(repository)) secrets.set(name, await readSecret(c, name));
  // Whose repository pod it is behind.
  const server = claim ? c.cluster : cluster;
  const { repository: resolved, files } = resolveRepository(repository, number, {
    cluster: server,
    namespace: c.namespace,
    tls: await clientTls(c, server, folder),
    ...(claim ? { hostConfig: FOREIGN_CONFIG } : {}),
    files: folder,
    secret: (name, key) => secrets.get(name)?.[key],
  });
  for (const [path, text] of files) await writeDurable(path, text, { sync: false });
  const path = join(folder, 'pgbackrest.conf');
  const backup = eff.backup ?? { compression: { type: 'zst' as const }, parallelism: PROCESSES };
  const text = renderBackrest({
    global: { ...commonOptions(backup, folder), ...repositoryOptions(resolved) },
  });
  await writeDurable(path, text, { sync: false });
  return path;
}

/** Our own certificates for our own repository pod; those of the other cluster for another's. */
async function clientTls(c: RecoveryContext, cluster: string, folder: string) {
  if (cluster === c.cluster) {
    const own = tlsFiles(c.layout.tls);
    return { ca: own.ca, cert: own.clientCert, key: own.clientKey };
  }
  const secret = await readSecret(c, names(cluster).replication).catch(() => undefined);
  const paths = { ca: join(folder, 'ca.crt'), cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  // An object store needs none.
  if (!secret) return paths;
  await writeDurable(paths.ca, secret['ca.crt'] ?? '', { sync: false });
  await writeDurable(paths.cert, secret['tls.crt'] ?? '', { sync: false });
  await writeDurable(paths.key, secret['tls.key'] ?? '', { sync: false });
  return paths;
}

async function fromCluster(c: RecoveryContext, id: string, { cluster }: LiveSource): Promise<CloneSpec> {
  const folder = join(c.layout.run, 'recovery');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await readSecret(c, names(cluster).replication);
  const tls = await clientTls(c, cluster, folder);
  const { ro, rw } = names(cluster);
  return {
    id,
    sourceName: cluster,
    // A replica if there is one: the primary has enough to do.
    source: conninfo({
      host: [ro, rw].map((service) => `${service}.${c.namespace}.svc`).join(','),
      port: POSTGRES_PORT,
      user: REPLICATION_USER,
      application_name: `${c.instance}.copy`,
      sslmode: 'verify-full',
      sslcert: tls.cert,
      sslkey: tls.key,
      sslrootcert: tls.ca,
      gssencmode: 'disable',
      connect_timeout: 5,
    }),
  };
}

async function readSecret(
  { client, namespace }: RecoveryContext,
  name: string,
): Promise<Record<string, string>> {
  const secret = await client.find(kinds.Secret, { namespace, name }, { timeoutMs: 5_000 });
  if (!secret)
    throw new InstanceError('ReferenceMissing', `restoring: there is no secret ${namespace}/${name}`, {
      hint: 'create it; the instance tries again by itself',
    });
  const data = Object.entries(secret.data ?? {});
  return Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]));
}
