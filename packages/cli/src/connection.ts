/** Which cluster and namespace a command is about, and a client for it. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ClientConfig } from '@pgherd/kube';
import { Client } from '@pgherd/kube';
import { CliError } from './errors.ts';

/** The options every command that talks to a cluster has. */
export interface ConnectionOptions {
  kubeconfig?: string;
  context?: string;
  namespace?: string;
  state?: string;
}

export interface Connection {
  client: Client;
  config: ClientConfig;
  namespace: string;
  /** The kubeconfig that was used; undefined when several were merged. */
  kubeconfig: string | undefined;
  context: string | undefined;
}

/** The folder of local mode: `--state`, PGHERD_STATE, else the default for this user. */
export function stateFolder(given?: string): string {
  if (given) return given;
  if (process.env.PGHERD_STATE) return process.env.PGHERD_STATE;
  return process.getuid?.() === 0 ? '/var/lib/pgherd' : join(homedir(), '.local', 'share', 'pgherd');
}

/**
 * The kubeconfig to use, in kubectl's order: --kubeconfig, KUBECONFIG, ~/.kube/config; then that of local mode.
 * Undefined: leave it to KUBECONFIG, which may name several files, or to the service account of the pod we run in.
 */
function findKubeconfig(options: ConnectionOptions): string | undefined {
  if (options.kubeconfig) return options.kubeconfig;
  if (process.env.KUBECONFIG) {
    return process.env.KUBECONFIG.includes(':') ? undefined : process.env.KUBECONFIG;
  }
  const usual = join(homedir(), '.kube', 'config');
  if (existsSync(usual)) return usual;
  if (process.env.KUBERNETES_SERVICE_HOST) return undefined;
  const local = join(stateFolder(options.state), 'kubeconfig');
  if (existsSync(local)) return local;
  throw new CliError(
    'unreachable',
    'No Kubernetes cluster is configured and local mode has not been started.',
    {
      hint: 'Start local mode with `npm start` or `pgherd local up`, or give --kubeconfig FILE.',
    },
  );
}

/** Opens the connection that the options ask for; nothing is sent yet. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const path = findKubeconfig(options);
  if (path !== undefined && !existsSync(path)) {
    throw new CliError('notFound', `The kubeconfig ${path} is not there.`, {
      hint: 'Check --kubeconfig or the variable KUBECONFIG.',
    });
  }
  const { loadKubeconfig } = await import('@pgherd/kube/kubeconfig');
  const config = await loadKubeconfig({ path, context: options.context });
  return {
    client: new Client({ ...config, userAgent: 'pgherd' }),
    config,
    namespace: options.namespace ?? config.namespace ?? 'default',
    kubeconfig: path,
    context: options.context,
  };
}
