/**
 * What installs pgherd on a Kubernetes: the operator's manifests, with what a cluster of several nodes wants besides.
 * `pgherd install generate` prints it and the Helm chart renders the same; a test compares the two.
 */
import { LABEL_CLUSTER, LABEL_REPOSITORY_POD, LABEL_ROLE, MANAGER_PORT } from '@pgherd/api';
import type { Deployment, KubeObject } from '@pgherd/kube';
import { operatorManifests } from './manifests.ts';
import { userRoles } from './user-roles.ts';

/** How much of the node a container may take, as Kubernetes writes it. */
export interface Resources {
  requests?: Record<string, string>;
  limits?: Record<string, string>;
}

export interface InstallOptions {
  image: string;
  replicas: number;
  namespace: string;
  /** Missing or empty: all namespaces. */
  watchNamespaces?: string[];
  imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  /** Names of secrets in the operator's namespace. */
  imagePullSecrets?: string[];
  logLevel?: string;
  resources?: Resources;
  nodeSelector?: Record<string, string>;
  tolerations?: object[];
  priorityClassName?: string;
  podAnnotations?: Record<string, string>;
  podLabels?: Record<string, string>;
  /** The domain of the cluster's services, where the operator would not find it out by itself. */
  clusterDomain?: string;
  /** Keep one operator during node drains. */
  podDisruptionBudget?: boolean;
  /** Let those who have the roles view, edit and admin of Kubernetes look at clusters, and change them. */
  userRoles?: boolean;
  networkPolicy?: NetworkPolicyOptions;
  podMonitor?: PodMonitorOptions;
  /** Leave out the definitions of the kinds: for those who install them on their own. */
  withoutCrds?: boolean;
}

export interface NetworkPolicyOptions {
  /** Ports on which the API server's endpoints listen. */
  apiServerPorts: number[];
}

export interface PodMonitorOptions {
  /** How often Prometheus asks, such as 30s. */
  interval: string;
  /** Labels by which a Prometheus finds its monitors. */
  labels?: Record<string, string>;
}

const NAME = 'pgherd-operator';
const SELECTOR = { 'app.kubernetes.io/name': 'pgherd', 'app.kubernetes.io/component': 'operator' };
const having = (label: string) => ({ matchExpressions: [{ key: label, operator: 'Exists' }] });
const DATABASES = having(LABEL_CLUSTER);
const REPOSITORIES = having(LABEL_REPOSITORY_POD);

/** Everything that installs pgherd, in the order in which it must be applied. Pure. */
export function installManifests(options: InstallOptions): KubeObject[] {
  const { image, replicas, namespace } = options;
  const watchNamespaces = options.watchNamespaces?.length ? options.watchNamespaces : undefined;
  return operatorManifests({ image, replicas, namespace, watchNamespaces })
    .filter(({ kind }) => !(options.withoutCrds && kind === 'CustomResourceDefinition'))
    .map((object) => {
      if (object.kind === 'Deployment') return adjusted(object as Deployment, options);
      if (object.kind === 'Namespace') return restricted(object);
      return object;
    })
    .concat(
      options.userRoles ? userRoles(SELECTOR) : [],
      options.podDisruptionBudget ? [disruptionBudget(namespace)] : [],
      options.networkPolicy ? [networkPolicy(namespace, options.networkPolicy)] : [],
      options.podMonitor ? podMonitors(namespace, watchNamespaces, options.podMonitor) : [],
    );
}

/** Kubernetes then refuses any pod there that could do more than it must. */
function restricted(object: KubeObject): KubeObject {
  const labels = { ...object.metadata.labels, 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { ...object, metadata: { ...object.metadata, labels } };
}

function adjusted(deployment: Deployment, options: InstallOptions): KubeObject {
  const { template } = deployment.spec;
  const [container, ...others] = template.spec.containers;
  if (!container) return deployment;
  const env = [...(container.env ?? [])];
  if (options.logLevel) env.push({ name: 'LOG_LEVEL', value: options.logLevel });
  if (options.clusterDomain) env.push({ name: 'CLUSTER_DOMAIN', value: options.clusterDomain });
  const metadata = {
    ...template.metadata,
    // The selector's own come last: without them the pods would not be found.
    labels: { ...options.podLabels, ...template.metadata?.labels },
    ...(options.podAnnotations ? { annotations: options.podAnnotations } : {}),
  };
  const changed = {
    ...container,
    env,
    ...(options.imagePullPolicy ? { imagePullPolicy: options.imagePullPolicy } : {}),
    ...(options.resources ? { resources: options.resources } : {}),
  };
  const spec = {
    ...template.spec,
    ...(options.imagePullSecrets?.length
      ? { imagePullSecrets: options.imagePullSecrets.map((name) => ({ name })) }
      : {}),
    ...(options.nodeSelector ? { nodeSelector: options.nodeSelector } : {}),
    ...(options.tolerations?.length
      ? { tolerations: [...(template.spec.tolerations ?? []), ...options.tolerations] }
      : {}),
    ...(options.priorityClassName ? { priorityClassName: options.priorityClassName } : {}),
    containers: [changed, ...others],
  };
  return {
    ...deployment,
    spec: { ...deployment.spec, template: { ...template, metadata, spec } },
  } as unknown as KubeObject;
}

/** An object of the operator's own name; kinds that the client runtime has no types for are as good as any. */
function object(apiVersion: string, kind: string, namespace: string, spec: object): KubeObject {
  const metadata = { name: NAME, namespace, labels: SELECTOR };
  return { apiVersion, kind, metadata, spec } as KubeObject;
}

function disruptionBudget(namespace: string): KubeObject {
  return object('policy/v1', 'PodDisruptionBudget', namespace, {
    maxUnavailable: 1,
    selector: { matchLabels: SELECTOR },
  });
}

/**
 * The operator is asked for health and metrics, and talks to the API server, to DNS, to instances and to the pods that
 * keep repositories.
 */
function networkPolicy(namespace: string, { apiServerPorts }: NetworkPolicyOptions): KubeObject {
  const tcp = (port: number | string) => ({ port, protocol: 'TCP' });
  return object('networking.k8s.io/v1', 'NetworkPolicy', namespace, {
    podSelector: { matchLabels: SELECTOR },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ ports: [tcp('health')] }],
    egress: [
      { ports: [{ port: 53, protocol: 'UDP' }, tcp(53)] },
      { ports: apiServerPorts.map(tcp) },
      {
        to: [DATABASES, REPOSITORIES].map((podSelector) => ({ namespaceSelector: {}, podSelector })),
        ports: [tcp(MANAGER_PORT)],
      },
    ],
  });
}

/** For the Prometheus operator: one monitor for pgherd's operator, one for all databases. */
function podMonitors(
  namespace: string,
  watchNamespaces: string[] | undefined,
  { interval, labels }: PodMonitorOptions,
): KubeObject[] {
  const monitor = (name: string, spec: object): KubeObject => {
    const made = object('monitoring.coreos.com/v1', 'PodMonitor', namespace, spec);
    return { ...made, metadata: { ...made.metadata, name, labels: { ...SELECTOR, ...labels } } };
  };
  return [
    monitor(NAME, {
      selector: { matchLabels: SELECTOR },
      podMetricsEndpoints: [{ port: 'health', path: '/metrics', interval }],
    }),
    monitor('pgherd-databases', {
      selector: DATABASES,
      namespaceSelector: watchNamespaces ? { matchNames: watchNamespaces } : { any: true },
      podTargetLabels: [LABEL_CLUSTER, LABEL_ROLE],
      podMetricsEndpoints: [{ port: 'metrics', path: '/metrics', interval }],
    }),
  ];
}
