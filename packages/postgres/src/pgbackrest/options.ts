/** pgbackrest.conf: options of repositories, hosts and the server, and the text they make. */
import { networkInterfaces } from 'node:os';
import { PostgresError } from '../errors.ts';

/** Options by name, as pgbackrest.conf spells them; a list is an option that is given several times. */
export type BackrestOptions = Record<string, string | number | boolean | readonly string[] | undefined>;

export type BackupKind = 'full' | 'diff' | 'incr';

/** Paths of files that prove who we are to another pgBackRest, and who it is to us. */
export interface HostTls {
  ca: string;
  cert: string;
  key: string;
}

/** Another pgBackRest, reached through its TLS server. */
export interface BackrestHost {
  /** The name in its certificate, which must also lead to it. */
  host: string;
  port: number;
  tls: HostTls;
  /** Path of the configuration that the other side uses. */
  config: string;
}

interface StoreAddress {
  /** Host of the store. */
  endpoint: string;
  port?: number;
  /** Folder in the bucket or container, beginning with a slash. */
  path: string;
  /** Path of a file with the authority of the store's certificate. */
  caFile?: string;
}

/** Where a repository is, as seen from where the command runs; with secrets in the clear. */
export type RepositoryPlace =
  | { kind: 'folder'; path: string }
  | ({ kind: 'host' } & BackrestHost)
  | (StoreAddress & {
      kind: 's3';
      bucket: string;
      region: string;
      uriStyle: 'host' | 'path';
      /** Absent: the role of the machine. */
      keys?: { id: string; secret: string; token?: string };
    })
  | (StoreAddress & {
      kind: 'azure';
      account: string;
      container: string;
      uriStyle: 'host' | 'path';
      key: string;
      keyType: 'shared' | 'sas';
    })
  | (StoreAddress & {
      kind: 'gcs';
      bucket: string;
      /** Path of the key file of a service account; absent: the account of the machine. */
      keyFile?: string;
    });

/** How long backups and WAL stay; absent: for ever. */
export interface BackrestRetention {
  full?: { count: number } | { days: number };
  differential?: number;
  archive?: { count: number; type?: BackupKind };
}

export interface BackrestRepository {
  /** Its number in option names; gaps are allowed. */
  number: number;
  place: RepositoryPlace;
  /** Passphrase of its encryption. */
  passphrase?: string;
  retention?: BackrestRetention;
}

/** The options of one repository, `repoN-...`. */
export function repositoryOptions(repository: BackrestRepository): BackrestOptions {
  const { number, place, passphrase, retention } = repository;
  const options: BackrestOptions = {
    ...placeOptions(place),
    // Also of one on a host: with several of them, `info` asks for the host's own too late.
    ...(passphrase === undefined ? {} : { 'cipher-type': 'aes-256-cbc', 'cipher-pass': passphrase }),
    // A host knows its own rules.
    ...(place.kind === 'host' ? {} : retentionOptions(retention)),
  };
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`repo${number}-${name}`, value]));
}

function placeOptions(place: RepositoryPlace): BackrestOptions {
  switch (place.kind) {
    case 'folder':
      return { path: place.path };
    case 'host':
      return hostOptions(place);
    case 's3':
      return {
        type: 's3',
        ...storeOptions(place),
        's3-bucket': place.bucket,
        's3-endpoint': place.endpoint,
        's3-region': place.region,
        's3-uri-style': place.uriStyle,
        ...(place.keys
          ? { 's3-key': place.keys.id, 's3-key-secret': place.keys.secret, 's3-token': place.keys.token }
          : { 's3-key-type': 'auto' }),
      };
    case 'azure':
      return {
        type: 'azure',
        ...storeOptions(place),
        'azure-account': place.account,
        'azure-container': place.container,
        'azure-endpoint': place.endpoint,
        'azure-uri-style': place.uriStyle,
        'azure-key': place.key,
        'azure-key-type': place.keyType,
      };
    case 'gcs':
      return {
        type: 'gcs',
        ...storeOptions(place),
        'gcs-bucket': place.bucket,
        'gcs-endpoint': place.endpoint,
        ...(place.keyFile ? { 'gcs-key': place.keyFile } : { 'gcs-key-type': 'auto' }),
      };
  }
}

function storeOptions({ path, port, endpoint, caFile }: StoreAddress): BackrestOptions {
  return {
    path,
    ...(port === undefined ? {} : { 'storage-host': endpoint, 'storage-port': port }),
    'storage-ca-file': caFile,
  };
}

function hostOptions({ host, port, tls, config }: BackrestHost): BackrestOptions {
  return {
    host,
    'host-type': 'tls',
    'host-port': port,
    'host-ca-file': tls.ca,
    'host-cert-file': tls.cert,
    'host-key-file': tls.key,
    'host-config': config,
  };
}

/** Its largest number: all are kept, and it need not warn of that. */
const EVERY = 9_999_999;

function retentionOptions(retention: BackrestRetention = {}): BackrestOptions {
  const { full, differential, archive } = retention;
  return {
    ...(full && 'days' in full
      ? { 'retention-full': full.days, 'retention-full-type': 'time' }
      : { 'retention-full': full?.count ?? EVERY, 'retention-full-type': 'count' }),
    'retention-diff': differential,
    'retention-archive': archive?.count,
    'retention-archive-type': archive?.type,
  };
}

/** A database server as pgBackRest sees it. */
export interface BackrestServer {
  /** Its data directory. */
  path: string;
  port: number;
  /** Folder of its Unix socket, on the host where it runs. */
  socketDir: string;
  user: string;
  /** Absent: it runs here. */
  host?: BackrestHost;
}

/** The options of database server number `number`, `pgN-...`. */
export function serverOptions(number: number, server: BackrestServer): BackrestOptions {
  const options: BackrestOptions = {
    path: server.path,
    port: server.port,
    'socket-path': server.socketDir,
    user: server.user,
    ...(server.host ? hostOptions(server.host) : {}),
  };
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`pg${number}-${name}`, value]));
}

/**
 * What pgBackRest listens on to be reached at every address of this machine: its `*` is IPv4 alone, and `::`, which
 * takes both, fails where there is no IPv6.
 */
export function everyAddress(interfaces: NodeJS.Dict<{ family: string }[]>): string {
  return Object.values(interfaces).some((all) => all?.some(({ family }) => family === 'IPv6')) ? '::' : '*';
}

/**
 * Whoever is gone without a word is noticed within a minute. Until then what was started on its behalf goes on, and
 * keeps its locks.
 */
export const KEEP_ALIVE: BackrestOptions = {
  'tcp-keep-alive-idle': 20,
  'tcp-keep-alive-interval': 10,
  'tcp-keep-alive-count': 3,
};

/** The options of `pgbackrest server`. `clients`: by the name in a certificate, which stanzas it may reach. */
export function tlsServerOptions(o: {
  port: number;
  tls: HostTls;
  clients: Record<string, string>;
}): BackrestOptions {
  return {
    'tls-server-address': everyAddress(networkInterfaces()),
    'tls-server-port': o.port,
    'tls-server-ca-file': o.tls.ca,
    'tls-server-cert-file': o.tls.cert,
    'tls-server-key-file': o.tls.key,
    ...KEEP_ALIVE,
    'tls-server-auth': Object.entries(o.clients).map(([name, stanzas]) => `${name}=${stanzas}`),
  };
}

const SECTION = /^[A-Za-z0-9_-]+(:[a-z-]+)?$/;
const NAME = /^[a-z0-9-]+$/;

/**
 * The text of a configuration: sections by name, `global` first. Options without a value are left out.
 * Throws PostgresError `BadOption` for a value that the format cannot hold: it knows neither quotes nor escapes.
 */
export function renderBackrest(sections: Record<string, BackrestOptions>): string {
  const lines = ['# Written by pgherd; changes made here are lost.'];
  for (const [section, options] of Object.entries(sections)) {
    if (!SECTION.test(section)) throw badOption(section, 'it is no name of a section');
    lines.push('', `[${section}]`);
    for (const [name, value] of Object.entries(options)) lines.push(...optionLines(name, value));
  }
  return `${lines.join('\n')}\n`;
}

function optionLines(name: string, value: BackrestOptions[string]): string[] {
  if (value === undefined) return [];
  if (!NAME.test(name)) throw badOption(name, 'it is no name of an option');
  const values = Array.isArray(value) ? value : [value];
  return values.map((one) => `${name}=${checked(name, text(one))}`);
}

function text(value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? 'y' : 'n';
  return String(value);
}

function checked(name: string, value: string): string {
  if (/[\r\n\0]/.test(value)) throw badOption(name, 'its value has more than one line');
  if (value === '' || value !== value.trim())
    throw badOption(name, 'its value is empty, or begins or ends with a blank');
  return value;
}

function badOption(name: string, why: string): PostgresError {
  return new PostgresError('BadOption', `writing pgbackrest.conf: ${name}: ${why}`, {
    hint: 'look at the secrets that spec.backup names: a line break at the end is the usual reason',
  });
}

/** The same options as arguments of a command. */
export function optionArgs(options: BackrestOptions): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (typeof value === 'boolean') return [value ? `--${name}` : `--no-${name}`];
    if (Array.isArray(value)) return value.map((one) => `--${name}=${one}`);
    return [`--${name}=${value}`];
  });
}
