import { OPERATOR_IMAGE, OPERATOR_NAMESPACE } from '@pgherd/api';
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
}

/** Reads the environment; throws OperatorError `config` for what cannot be meant. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
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
  };
}
