/** Pods with PostgreSQL's programs and nothing of ours: what a measurement is compared with, or made from. */
import { DEFAULT_POSTGRES_IMAGE } from '@pgherd/api';
import { waitFor } from '@pgherd/cli';
import type { Stage, World } from '@pgherd/e2e';
import { type KubeObject, kinds, type Pod } from '@pgherd/kube';

export const CONTAINER = 'main';
const START_MS = 120_000;
/** Settings that are not about speed, or that a bare server cannot have. */
const NOT_COPIED =
  /^(listen_addresses|port|unix_socket.*|ssl.*|.*_file|data_directory|archive_.*|primary_.*|restore_command|synchronous_standby_names|log_.*|logging_collector|cluster_name|recovery_.*|lc_.*|default_text_search_config|DateStyle|TimeZone|hot_standby_feedback|restart_after_crash)$/i;

export interface PlainPod {
  namespace: string;
  name: string;
  command: string[];
  env?: Record<string, string>;
  /** A volume for data at /var/lib/postgresql/data. */
  data?: true;
  /** A Secret to be seen at /tls. */
  secret?: string;
  /** Ready once something listens there; else as soon as it runs. */
  port?: number;
  /** The node it is to be on. */
  node?: string;
}

/** Makes the pod and waits until it is ready. */
export async function startPlainPod(world: World, wanted: PlainPod): Promise<Pod> {
  const pod = podOf(wanted);
  await world.client.create(kinds.Pod, pod);
  let seen = '';
  return waitFor(
    async () => {
      const found = await world.client.get(kinds.Pod, pod.metadata);
      seen = JSON.stringify(found.status?.containerStatuses?.[0]?.state ?? {});
      return found.status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True')
        ? found
        : undefined;
    },
    { timeoutMs: START_MS, everyMs: 100, describe: () => `pod ${pod.metadata.name} is not ready: ${seen}` },
  );
}

export async function makeNamespace(world: World, name: string): Promise<void> {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await world.client.create(kinds.Namespace, namespace as KubeObject);
}

/** The settings of a cluster's primary that make it fast or slow, as a server without pgherd can have them. */
export async function settingsOf(stage: Stage): Promise<string[]> {
  const rows = await stage.sql(
    "SELECT name || '=' || current_setting(name) FROM pg_settings WHERE source = 'configuration file'",
  );
  return rows
    .split('\n')
    .map((row): [string, string] => [row.slice(0, row.indexOf('=')), row.slice(row.indexOf('=') + 1)])
    .filter(([name]) => name !== '' && !NOT_COPIED.test(name))
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
}

function podOf({ namespace, name, command, env = {}, data, secret, port, node }: PlainPod): Pod {
  const volumes = [
    ...(data ? [{ name: 'data', emptyDir: {} }] : []),
    ...(secret ? [{ name: 'tls', secret: { secretName: secret, defaultMode: 0o440 } }] : []),
  ];
  const volumeMounts = [
    ...(data ? [{ name: 'data', mountPath: '/var/lib/postgresql/data' }] : []),
    ...(secret ? [{ name: 'tls', mountPath: '/tls', readOnly: true }] : []),
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { name } },
    spec: {
      ...(node ? { nodeSelector: { 'kubernetes.io/hostname': node } } : {}),
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsUser: 26, runAsGroup: 26, fsGroup: 26, runAsNonRoot: true },
      containers: [
        {
          name: CONTAINER,
          image: DEFAULT_POSTGRES_IMAGE,
          command,
          env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
          volumeMounts,
          ...(port === undefined ? {} : { readinessProbe: { tcpSocket: { port }, periodSeconds: 1 } }),
        },
      ],
      volumes,
    },
  } as Pod;
}
