import { readFileSync } from 'node:fs';
import type { Agent, OutgoingHttpHeaders } from 'node:http';
import type { AgentOptions } from 'node:https';
import { KubeError } from './errors.ts';

/** Gives the token for a request. `forget` is called when the server refused the last one: it may have been replaced. */
export interface TokenSource {
  (): string | Promise<string>;
  forget?(): void;
}

/** What stands between us and the API server. */
export interface ProxyServer {
  /** Its URL as it may be shown: without a password. */
  shown: string;
  /** A pool of connections through it. */
  agent(options: AgentOptions): Agent;
}

/** How to reach an API server and who we are there. */
export interface ClientConfig {
  /** `https://host:port`, without a path at the end or with one (a proxy's). */
  server: string;
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  /** Asked before each request; keep it cheap. */
  token?: TokenSource;
  /** Headers that say who we are, beside the token; asked before each request. */
  headers?: () => Promise<OutgoingHttpHeaders>;
  insecure?: boolean;
  /** The name to check in the server's certificate, when it is not the host of `server`. */
  serverName?: string;
  /** Namespace that commands use when none is given. */
  namespace?: string;
  userAgent?: string;
  proxy?: ProxyServer;
  /** Connect to this Unix socket (still TLS) instead of the host of `server`. */
  socketPath?: string;
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Kubernetes rotates the projected token well before it ends; a minute-old reading is always good. */
const TOKEN_MAX_AGE_MS = 60_000;

/** A token function that reads a file again when its reading is older than a minute. */
export function tokenFromFile(path: string): (() => string) & TokenSource {
  let token = '';
  let readAt = Number.NEGATIVE_INFINITY;
  const read = () => {
    const now = performance.now();
    if (now - readAt > TOKEN_MAX_AGE_MS) {
      try {
        token = readFileSync(path, 'utf8').trim();
        readAt = now;
      } catch (cause) {
        // Between two readings the kubelet may be replacing it: the old one is still good for a while.
        if (token === '')
          throw new KubeError('Config', `reading the service account token ${path}`, { cause });
      }
    }
    return token;
  };
  const forget = () => {
    readAt = Number.NEGATIVE_INFINITY;
  };
  return Object.assign(read, { forget });
}

/**
 * The configuration of a pod: its service account, and the API server from the environment.
 * Throws KubeError `Config` outside a pod.
 */
export function inClusterConfig(
  env: NodeJS.ProcessEnv = process.env,
  folder: string = ACCOUNT,
): ClientConfig {
  const host = env.KUBERNETES_SERVICE_HOST;
  const port = env.KUBERNETES_SERVICE_PORT ?? '443';
  if (!host) {
    throw new KubeError('Config', 'finding the API server: KUBERNETES_SERVICE_HOST is not set', {
      hint: 'this runs inside a pod; outside one, give a kubeconfig',
    });
  }
  try {
    return {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      ca: readFileSync(`${folder}/ca.crt`),
      token: tokenFromFile(`${folder}/token`),
      namespace: readFileSync(`${folder}/namespace`, 'utf8').trim(),
    };
  } catch (cause) {
    throw new KubeError('Config', `reading the service account in ${folder}`, {
      hint: 'the pod needs automountServiceAccountToken',
      cause,
    });
  }
}
