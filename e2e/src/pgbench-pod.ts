/** pgbench in a pod, as an application of the cluster. */
import { waitFor } from '@pgherd/cli';
import { accessInside } from '@pgherd/cli/access';
import { captureInPod, type Output } from '@pgherd/cli/pod-exec';
import { kinds, type Pod } from '@pgherd/kube';
import type { Stage } from './stage.ts';

const NAME = 'pgbench';
const CONTAINER = 'main';

/** Runs pgbench with these arguments against -rw; never throws for its exit code. */
export type Pgbench = (args: string[], timeoutMs: number) => Promise<Output>;

/** Starts the pod, on that node if one is given. */
export async function startPgbench(stage: Stage, node?: string): Promise<Pgbench> {
  const { client, namespace } = stage;
  const access = await accessInside(client, namespace, stage.cluster);
  await client.create(
    kinds.Pod,
    podOf(
      stage,
      {
        PGHOST: access.host,
        PGPORT: String(access.port),
        PGUSER: access.user,
        PGPASSWORD: access.password,
        PGDATABASE: access.database,
        PGSSLMODE: 'require',
      },
      node,
    ),
  );
  await waitFor(
    async () => (await client.get(kinds.Pod, { namespace, name: NAME })).status?.phase === 'Running',
    { timeoutMs: 60_000, describe: () => `pod ${NAME} does not run` },
  );
  return (args, timeoutMs) =>
    captureInPod(client, { metadata: { name: NAME, namespace } }, ['pgbench', ...args], {
      container: CONTAINER,
      timeoutMs,
    });
}

/** Counts the clients that gave up, in what pgbench says on standard error. */
export function countFailed(stderr: string): number {
  const failed = [...stderr.matchAll(/client (\d+)\b.*abort/g)].map((match) => match[1]);
  return new Set(failed).size;
}

function podOf({ namespace, world }: Stage, env: Record<string, string>, node?: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: NAME, namespace },
    spec: {
      ...(node ? { nodeSelector: { 'kubernetes.io/hostname': node } } : {}),
      terminationGracePeriodSeconds: 1,
      securityContext: {
        runAsUser: 26,
        runAsGroup: 26,
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: CONTAINER,
          image: world.image('postgresql'),
          command: ['sleep', '86400'],
          env: Object.entries(env).map(([name, value]) => ({ name, value })),
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  } as Pod;
}
