import { existsSync, readFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { type ClientConfig, inClusterConfig, tokenFromFile } from './config.ts';
import { KubeError } from './errors.ts';
import { type ExecPlugin, execCredentials } from './exec-credential.ts';

interface Entry<K extends string, V> {
  name: string;
  value: V;
  kind: K;
  /** Folder of the file it came from: relative paths start there. */
  folder: string;
}

interface ClusterEntry {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  'tls-server-name'?: string;
  'proxy-url'?: string;
  extensions?: { name: string; extension: unknown }[];
}

interface UserEntry {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  username?: string;
  password?: string;
  exec?: ExecPlugin;
  'auth-provider'?: unknown;
  as?: string;
  'as-uid'?: string;
  'as-groups'?: string[];
  'as-user-extra'?: Record<string, string[]>;
}

interface ContextEntry {
  cluster?: string;
  user?: string;
  namespace?: string;
}

interface File {
  clusters?: { name: string; cluster: ClusterEntry }[];
  users?: { name: string; user: UserEntry }[];
  contexts?: { name: string; context: ContextEntry }[];
  'current-context'?: string;
}

interface Merged {
  paths: string[];
  current: string | undefined;
  clusters: Map<string, Entry<'cluster', ClusterEntry>>;
  users: Map<string, Entry<'user', UserEntry>>;
  contexts: Map<string, Entry<'context', ContextEntry>>;
}

export interface KubeconfigOptions {
  /** A file; else KUBECONFIG, else ~/.kube/config, else the service account of the pod we run in. */
  path?: string;
  context?: string;
  env?: NodeJS.ProcessEnv;
}

/**
 * Reads a kubeconfig, with its certificates and tokens, and asks its credential plugin if it names one. Throws
 * KubeError `Config`.
 */
export async function loadKubeconfig(options: KubeconfigOptions = {}): Promise<ClientConfig> {
  const env = options.env ?? process.env;
  const paths = kubeconfigPaths(options.path, env);
  const found = paths.filter((path) => existsSync(path));
  if (found.length === 0) {
    if (!options.path && env.KUBERNETES_SERVICE_HOST) return inClusterConfig(env);
    throw new KubeError('Config', `reading the kubeconfig: ${paths.join(', ')} does not exist`, {
      hint: 'give --kubeconfig FILE, set KUBECONFIG, or start local mode: pgherd local up',
    });
  }
  const merged = mergeFiles(found);
  const name = options.context ?? merged.current;
  const context = name === undefined ? undefined : merged.contexts.get(name);
  if (!context) {
    throw new KubeError('Config', `reading ${found.join(', ')}: no context ${name ?? 'is current'}`, {
      hint: `contexts there: ${[...merged.contexts.keys()].join(', ') || 'none'}`,
    });
  }
  const named = <E>(what: string, entries: Map<string, E>, wanted: string | undefined): E | undefined => {
    const entry = entries.get(wanted ?? '');
    if (entry || !wanted) return entry;
    throw new KubeError('Config', `reading ${found.join(', ')}: context ${name} names a ${what} ${wanted}`, {
      hint: `there is none of that name; there are: ${[...entries.keys()].join(', ') || 'none'}`,
    });
  };
  const cluster = named('cluster', merged.clusters, context.value.cluster);
  if (!cluster)
    throw new KubeError('Config', `reading ${found.join(', ')}: context ${name} names no cluster`);
  const user = named('user', merged.users, context.value.user);
  const config = await clusterConfig(cluster, context.value.namespace);
  if (!user) return config;
  return { ...config, ...(await userConfig(user, config, cluster.value)) };
}

function kubeconfigPaths(path: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (path) return [resolve(path)];
  if (env.KUBECONFIG) return env.KUBECONFIG.split(delimiter).filter(Boolean);
  return [join(env.HOME ?? homedir(), '.kube', 'config')];
}

/** kubectl's rule: of two entries of one name, that of the first file counts. */
function mergeFiles(paths: string[]): Merged {
  const merged: Merged = {
    paths,
    current: undefined,
    clusters: new Map(),
    users: new Map(),
    contexts: new Map(),
  };
  for (const path of paths) {
    let file: File;
    try {
      file = (parse(readFileSync(path, 'utf8')) ?? {}) as File;
    } catch (cause) {
      throw new KubeError('Config', `reading the kubeconfig ${path}: ${(cause as Error).message}`, { cause });
    }
    const folder = dirname(resolve(path));
    merged.current ||= file['current-context'];
    for (const { name, cluster } of file.clusters ?? [])
      first(merged.clusters, { name, value: cluster ?? {}, kind: 'cluster', folder });
    for (const { name, user } of file.users ?? [])
      first(merged.users, { name, value: user ?? {}, kind: 'user', folder });
    for (const { name, context } of file.contexts ?? [])
      first(merged.contexts, { name, value: context ?? {}, kind: 'context', folder });
  }
  return merged;
}

function first<E extends { name: string }>(map: Map<string, E>, entry: E): void {
  if (!map.has(entry.name)) map.set(entry.name, entry);
}

async function clusterConfig(
  { name, value, folder }: Entry<'cluster', ClusterEntry>,
  namespace: string | undefined,
): Promise<ClientConfig> {
  const { server = '', 'proxy-url': proxy } = value;
  if (!/^https?:/.test(server) || !URL.canParse(server)) {
    throw new KubeError('Config', `cluster ${name}: server: ${server || 'nothing'} is no address of an API`, {
      hint: 'write https://HOST:PORT',
    });
  }
  const through = proxy && (await import('./proxy.ts')).proxyAt(proxy, server, `cluster ${name}: proxy-url`);
  return {
    server,
    ca: bytes(folder, value['certificate-authority-data'], value['certificate-authority']),
    insecure: value['insecure-skip-tls-verify'],
    serverName: value['tls-server-name'],
    ...(through ? { proxy: through } : {}),
    namespace: namespace ?? 'default',
  };
}

async function userConfig(
  user: Entry<'user', UserEntry>,
  config: ClientConfig,
  cluster: ClusterEntry,
): Promise<Partial<ClientConfig>> {
  const { value, folder } = user;
  const { token, tokenFile, username, password } = value;
  if (value['auth-provider']) {
    throw new KubeError(
      'Config',
      `user ${user.name} has an auth-provider, which Kubernetes gave up in 1.26`,
      {
        hint: 'let your provider write the kubeconfig anew: it will name a credential plugin (exec)',
      },
    );
  }
  const own = {
    cert: bytes(folder, value['client-certificate-data'], value['client-certificate']),
    key: bytes(folder, value['client-key-data'], value['client-key']),
    token: tokenFile ? tokenFromFile(resolve(folder, tokenFile)) : token ? () => token : undefined,
  };
  const login = own.token
    ? undefined
    : username !== undefined
      ? basic(username, password)
      : value.exec && (await execCredentials(value.exec, folder, config, aboutCluster(cluster)));
  const others = impersonation(value);
  const headers = async () => ({ ...(await login?.headers?.()), ...others });
  return { ...own, ...login, ...(login?.headers || others ? { headers } : {}) };
}

function basic(username: string, password = ''): Partial<ClientConfig> {
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  return { headers: async () => ({ authorization }) };
}

/** What a credential plugin is told of the cluster beyond how to reach it. */
function aboutCluster(cluster: ClusterEntry): { proxy?: string; config?: unknown } {
  const own = cluster.extensions?.find(({ name }) => name === 'client.authentication.k8s.io/exec');
  return { proxy: cluster['proxy-url'], config: own?.extension };
}

/** To act as somebody else: without these headers a request would have more rights than was asked for. */
function impersonation(user: UserEntry): OutgoingHttpHeaders | undefined {
  const { as, 'as-uid': uid, 'as-groups': groups = [], 'as-user-extra': extra = {} } = user;
  if (!as && !uid && groups.length === 0 && Object.keys(extra).length === 0) return undefined;
  return {
    ...(as ? { 'Impersonate-User': as } : {}),
    ...(uid ? { 'Impersonate-Uid': uid } : {}),
    ...(groups.length > 0 ? { 'Impersonate-Group': groups } : {}),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [`Impersonate-Extra-${encodeURIComponent(key)}`, values]),
    ),
  };
}

function bytes(folder: string, data: string | undefined, path: string | undefined): Buffer | undefined {
  if (data) return Buffer.from(data, 'base64');
  if (!path) return undefined;
  try {
    return readFileSync(resolve(folder, path));
  } catch (cause) {
    throw new KubeError('Config', `reading ${path}, named by the kubeconfig`, { cause });
  }
}
