import { readFileSync } from 'node:fs';
import { OPERATOR_IMAGE, OPERATOR_NAMESPACE } from '@pgherd/api';
import { DEFAULT_CLUSTER_DOMAIN } from './cluster/certificates.ts';
import { OperatorError } from './errors.ts';

/** What the operator is told by its Deployment. */
export interface Settings {
  /** Where the operator lives: its leader's Lease is there. */
  namespace: string;
  /** Unique to this pod. A restarted container of it may lead on at once: the process before it is dead. */
  identity: string;
  podName: string;
  /** Image that holds /pgherd. */
  image: string;
  /** Namespaces to watch; undefined: all. */
  namespaces: string[] | undefined;
  logLevel: string;
  port: number;
  /** The domain of the cluster's services, such as cluster.local. */
  clusterDomain: string;
}

/** Reads the environment; throws OperatorError `config` for what cannot be meant. */
export function readSettings(env: NodeJS.ProcessEnv, resolvConf = ''): Settings {
  const port = Number(env.HEALTH_PORT ?? 8080);
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new OperatorError('config', `reading HEALTH_PORT: '${env.HEALTH_PORT}' is no port`, {
      hint: 'set it to a number from 0 to 65535, or leave it out for 8080',
    });
  const namespaces = (env.WATCH_NAMESPACES ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const podName = env.POD_NAME ?? 'pgherd-operator';
  return {
    namespace: env.POD_NAMESPACE ?? OPERATOR_NAMESPACE,
    identity: `${podName}_${env.POD_UID ?? process.pid}`,
    podName,
    image: env.OPERATOR_IMAGE ?? OPERATOR_IMAGE,
    namespaces: namespaces.length > 0 ? namespaces : undefined,
    logLevel: env.LOG_LEVEL ?? 'info',
    port,
    clusterDomain: env.CLUSTER_DOMAIN ?? clusterDomainOf(resolvConf),
  };
}

/**
 * The cluster's domain out of a pod's resolv.conf, whose search list has `NAMESPACE.svc.DOMAIN`; cluster.local
 * where there is no such list, as on a pod of the host network.
 */
export function clusterDomainOf(resolvConf: string): string {
  const search = resolvConf.split('\n').findLast((line) => /^\s*search\s/.test(line));
  const found = search
    ?.trim()
    .split(/\s+/)
    .find((domain) => domain.startsWith('svc.'));
  return found?.slice('svc.'.length).replace(/\.$/, '') || DEFAULT_CLUSTER_DOMAIN;
}

/** The resolver's configuration of this process; empty where there is none. */
export function readResolvConf(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return '';
  }
}
