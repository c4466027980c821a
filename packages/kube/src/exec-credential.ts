import { spawn } from 'node:child_process';
import { isAbsolute, resolve } from 'node:path';
import type { ClientConfig } from './config.ts';
import { KubeError } from './errors.ts';

/** The `exec` of a kubeconfig's user: a program that gives credentials. */
export interface ExecPlugin {
  apiVersion?: string;
  command: string;
  args?: string[] | null;
  env?: { name: string; value: string }[] | null;
  provideClusterInfo?: boolean;
  interactiveMode?: 'Never' | 'IfAvailable' | 'Always';
  installHint?: string;
}

interface Credential {
  expirationTimestamp?: string;
  token?: string;
  clientCertificateData?: string;
  clientKeyData?: string;
}

const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];
/** Asked anew this long before the end, so that no request goes out with a token that dies on its way. */
const EARLY_MS = 30_000;
const LONGEST_MS = 120_000;

/**
 * Asks a credential plugin as kubectl does, and again whenever what it gave is about to end. `folder` is where a
 * relative command starts. Throws KubeError `Config` with what the plugin said.
 */
export async function execCredentials(
  plugin: ExecPlugin,
  folder: string,
  config: ClientConfig,
  further: { proxy?: string; config?: unknown } = {},
): Promise<Partial<ClientConfig>> {
  const cluster = aboutCluster(config, further);
  let known = await ask(plugin, folder, cluster);
  const { clientCertificateData: cert, clientKeyData: key } = known;
  const headers = async (): Promise<Record<string, string>> => {
    if (Date.parse(known.expirationTimestamp ?? '') - EARLY_MS < Date.now())
      known = await ask(plugin, folder, cluster);
    return known.token ? { authorization: `Bearer ${known.token}` } : {};
  };
  return { ...(cert && key ? { cert, key } : {}), headers };
}

function aboutCluster(config: ClientConfig, further: { proxy?: string; config?: unknown }): object {
  return {
    server: config.server,
    'tls-server-name': config.serverName,
    'insecure-skip-tls-verify': config.insecure,
    'certificate-authority-data': config.ca && Buffer.from(config.ca).toString('base64'),
    'proxy-url': further.proxy,
    config: further.config,
  };
}

async function ask(plugin: ExecPlugin, folder: string, cluster: object): Promise<Credential> {
  const { apiVersion = VERSIONS[0]!, installHint } = plugin;
  const fail = (why: string, cause?: unknown): KubeError =>
    new KubeError('Config', `asking the credential plugin ${plugin.command}: ${why}`, {
      hint: installHint?.trim() || 'run `kubectl get ns` with the same kubeconfig: it uses the same plugin',
      cause,
    });
  if (!VERSIONS.includes(apiVersion)) throw fail(`its apiVersion ${apiVersion} is not known`);
  if (plugin.interactiveMode === 'Always' && !isInteractive(plugin))
    throw fail('it has to ask somebody (interactiveMode: Always), and there is no terminal');
  const { code, out } = await run(plugin, folder, info(plugin, apiVersion, cluster)).catch((cause) => {
    throw fail((cause as Error).message, cause);
  });
  if (code !== 0) throw fail(`it ended with exit code ${code}`);
  try {
    const { status } = JSON.parse(out) as { status?: Credential };
    if (status?.token || status?.clientCertificateData) return status;
  } catch (cause) {
    throw fail('its answer is not an ExecCredential', cause);
  }
  throw fail('its answer holds neither a token nor a certificate');
}

const isInteractive = ({ interactiveMode }: ExecPlugin): boolean =>
  interactiveMode !== 'Never' && process.stdin.isTTY === true;

/** What KUBERNETES_EXEC_INFO tells the plugin. */
function info(plugin: ExecPlugin, apiVersion: string, cluster: object): string {
  const spec = {
    interactive: isInteractive(plugin),
    ...(plugin.provideClusterInfo ? { cluster } : {}),
  };
  return JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
}

function run(plugin: ExecPlugin, folder: string, about: string): Promise<{ code: number; out: string }> {
  const { command, args, env } = plugin;
  const path = command.includes('/') && !isAbsolute(command) ? resolve(folder, command) : command;
  return new Promise((done, reject) => {
    const child = spawn(path, args ?? [], {
      stdio: [isInteractive(plugin) ? 'inherit' : 'ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        KUBERNETES_EXEC_INFO: about,
        ...Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
      },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === null) reject(new Error(`it was ended by ${signal}`));
      else done({ code, out });
    });
  });
}
