import { OPERATOR_IMAGE, OPERATOR_NAMESPACE } from '@pgherd/api';
import type { KubeObject } from '@pgherd/kube';
import { type InstallOptions, installManifests } from '@pgherd/operator/install';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { stringify } from 'yaml';
import { example, whole } from '../options.ts';
import { printJson } from '../output.ts';

/** What the command line of `pgherd install generate` holds. */
export interface GenerateOptions {
  namespace: string;
  image: string;
  imagePullPolicy?: InstallOptions['imagePullPolicy'];
  imagePullSecret?: string[];
  replicas: number;
  watchNamespace?: string[];
  logLevel?: string;
  clusterDomain?: string;
  podDisruptionBudget: boolean;
  userRoles: boolean;
  networkPolicy?: boolean;
  apiServerPort?: number[];
  podMonitor?: boolean;
  scrapeInterval: string;
  crds: boolean;
  output: 'yaml' | 'json';
}

const API_SERVER_PORTS = [443, 6443];

/** `pgherd install ...`. */
export function addInstall(program: Command): void {
  const parent = program.command('install').description('Install pgherd on a Kubernetes');
  const command = parent
    .command('generate')
    .description('Print the manifests that install the operator; the same as the Helm chart')
    .option('-n, --namespace <name>', 'namespace of the operator', OPERATOR_NAMESPACE)
    .option('--image <name>', 'image of the operator and the manager', OPERATOR_IMAGE)
    .addOption(
      new Option('--image-pull-policy <policy>', 'when a node fetches the image').choices([
        'Always',
        'IfNotPresent',
        'Never',
      ]),
    )
    .option('--image-pull-secret <name>', 'secret of the registry; may be repeated', collect)
    .option('--replicas <count>', 'operators, of which one works', whole(1), 2)
    .option('--watch-namespace <name>', 'serve this namespace, not all; may be repeated', collect)
    .addOption(
      new Option('--log-level <level>', 'what the operator tells').choices([
        'trace',
        'debug',
        'info',
        'warn',
        'error',
      ]),
    )
    .option('--cluster-domain <name>', 'of services, where the operator does not find it out')
    .option('--network-policy', 'let the operator talk to what it needs only')
    .option('--api-server-port <port>', 'of the API server, for that; default: 443, 6443', collectPort)
    .option('--pod-monitor', 'monitors for the Prometheus operator')
    .option('--scrape-interval <time>', 'how often Prometheus asks', '30s')
    .option('--no-pod-disruption-budget', 'allow that all operators are evicted at once')
    .option('--no-user-roles', 'do not add the kinds to the roles view, edit and admin of Kubernetes')
    .option('--no-crds', 'leave out the definitions of the kinds')
    .addOption(new Option('-o, --output <format>', 'format').choices(['yaml', 'json']).default('yaml'))
    .action((options: GenerateOptions) => {
      const manifests = installManifests(installOptions(options));
      if (options.output === 'json') printJson({ apiVersion: 'v1', kind: 'List', items: manifests });
      else process.stdout.write(documents(manifests));
    });
  example(
    command,
    'pgherd install generate | kubectl apply --server-side -f -',
    'pgherd install generate --watch-namespace shop --network-policy',
  );
}

/** The options of a command line as the operator's package takes them. */
export function installOptions(options: GenerateOptions): InstallOptions {
  return {
    namespace: options.namespace,
    image: options.image,
    replicas: options.replicas,
    watchNamespaces: options.watchNamespace,
    imagePullPolicy: options.imagePullPolicy,
    imagePullSecrets: options.imagePullSecret,
    logLevel: options.logLevel,
    clusterDomain: options.clusterDomain,
    podDisruptionBudget: options.podDisruptionBudget,
    userRoles: options.userRoles,
    networkPolicy: options.networkPolicy
      ? { apiServerPorts: options.apiServerPort ?? API_SERVER_PORTS }
      : undefined,
    podMonitor: options.podMonitor ? { interval: options.scrapeInterval } : undefined,
    withoutCrds: !options.crds,
  };
}

/** Objects as documents of one YAML file. */
export function documents(objects: KubeObject[]): string {
  return objects
    .map((object) => `---\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`)
    .join('');
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

function collectPort(value: string, previous: number[] = []): number[] {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new InvalidArgumentError('It must be a number from 1 to 65535.');
  return [...previous, port];
}
