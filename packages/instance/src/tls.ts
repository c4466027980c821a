/** Certificates: out of secrets into files that PostgreSQL and its tools read, renewed without a restart. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { certificateMark, type InstanceReport, names } from '@pgherd/api';
import { type Client, createCache, kinds, type Log, type Secret } from '@pgherd/kube';
import { privateFolder, writeDurable } from '@pgherd/postgres';
import { tlsFiles } from './database/layout.ts';
import { InstanceError } from './errors.ts';

/** What the files hold, PEM. */
export interface TlsMaterial {
  /** Verifies servers. */
  ca: string;
  /** Verifies clients: who a server is need not be told by the same authority. */
  clientCa: string;
  serverCert: string;
  serverKey: string;
  clientCert: string;
  clientKey: string;
}

export interface TlsOptions {
  client: Client;
  namespace: string;
  cluster: string;
  /** Folder of the files. */
  folder: string;
  log: Log;
  /** The files have changed and are complete. */
  changed(material: TlsMaterial): void;
}

const KEYS = Object.keys(tlsFiles('')) as (keyof TlsMaterial)[];

/** The files of a folder; undefined when one is missing, or when we were ended while we wrote them. */
export function readTlsFiles(folder: string): TlsMaterial | undefined {
  const files = tlsFiles(folder);
  if (!KEYS.every((key) => existsSync(files[key]))) return undefined;
  const material = Object.fromEntries(
    KEYS.map((key) => [key, readFileSync(files[key], 'utf8')]),
  ) as unknown as TlsMaterial;
  const { serverCert, serverKey, clientCert, clientKey } = material;
  return isPair(serverCert, serverKey) && isPair(clientCert, clientKey) ? material : undefined;
}

function isPair(cert: string, key: string): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** Writes what differs; returns whether anything did. The keys can be read by us only. */
export async function writeTlsFiles(folder: string, material: TlsMaterial): Promise<boolean> {
  await privateFolder(folder);
  const files = tlsFiles(folder);
  let changed = false;
  for (const key of KEYS) changed = (await writeDurable(files[key], material[key])) || changed;
  return changed;
}

/** What of both secrets this is, for the report. */
export function certificateMarks(material: TlsMaterial): NonNullable<InstanceReport['certificates']> {
  return {
    server: certificateMark(material.ca, material.serverCert),
    replication: certificateMark(material.clientCa, material.clientCert),
  };
}

/** Puts both secrets together. Throws InstanceError `BadSecret` naming what is missing. */
export function tlsMaterial(server: Secret, replication: Secret): TlsMaterial {
  const text = (secret: Secret, key: string): string => {
    const value = secret.data?.[key];
    if (!value) {
      const { namespace, name } = secret.metadata;
      throw new InstanceError(
        'BadSecret',
        `reading the certificates in secret ${namespace}/${name}: it has no "${key}"`,
        {
          hint: 'delete the secret; the operator makes it anew',
        },
      );
    }
    return Buffer.from(value, 'base64').toString('utf8');
  };
  return {
    ca: text(server, 'ca.crt'),
    clientCa: text(replication, 'ca.crt'),
    serverCert: text(server, 'tls.crt'),
    serverKey: text(server, 'tls.key'),
    clientCert: text(replication, 'tls.crt'),
    clientKey: text(replication, 'tls.key'),
  };
}

/**
 * Keeps the files as the secrets say. Resolves once there are files: at once when they lie there from before
 * (a restarted container gets on without the API), else when both secrets have come.
 */
export async function keepTls(o: TlsOptions, signal: AbortSignal): Promise<TlsMaterial> {
  let current = readTlsFiles(o.folder);
  const first = Promise.withResolvers<TlsMaterial>();
  if (current) first.resolve(current);
  signal.addEventListener('abort', () => first.reject(signal.reason), { once: true });
  const own = names(o.cluster);
  const secrets = [own.server, own.replication].map((name) =>
    createCache(o.client, kinds.Secret, {
      namespace: o.namespace,
      fieldSelector: `metadata.name=${name}`,
      log: o.log,
    }),
  );
  let writing: Promise<void> = Promise.resolve();
  const update = async (): Promise<void> => {
    const [server, replication] = [own.server, own.replication].map((name, index) =>
      secrets[index]!.get(o.namespace, name),
    );
    if (!server || !replication) return;
    const material = tlsMaterial(server, replication);
    const changed = await writeTlsFiles(o.folder, material);
    const known = current;
    current = material;
    first.resolve(material);
    if (changed && known) o.changed(material);
  };
  const onChange = (): void => {
    writing = writing
      .then(update)
      .catch((error) => o.log.error({ error: String(error) }, 'the certificates were not renewed'));
  };
  for (const secret of secrets) {
    secret.onChange(onChange);
    secret.start(signal);
  }
  return first.promise;
}
