/** The recording writer as a pod, so that it sees what an application in the cluster sees. */
import { waitFor } from '@pgherd/cli';
import { LineSplitter } from '@pgherd/cli/log-lines';
import { programText } from '@pgherd/cli/programs/files';
import { Recording } from '@pgherd/cli/writer/recording';
import { SETTINGS_VARIABLE, type WriterSettings } from '@pgherd/cli/writer/settings';
import type { RunningWriter } from '@pgherd/cli/writer/start';
import { type Client, type ConfigMap, kinds, type Pod, type Secret } from '@pgherd/kube';
import { logs } from '@pgherd/kube/streams';

const PROGRAM = 'writer-program';
let serial = 0;

export interface WriterPlace {
  namespace: string;
  /** An image with Node in /pgherd. */
  image: string;
  /** The node to run on; undefined: any. */
  node?: string;
}

/** Starts a writer in the pod network, on that node if one is given; resolves once its pod runs. */
export async function startPodWriter(
  client: Client,
  place: WriterPlace,
  settings: WriterSettings,
): Promise<RunningWriter> {
  const { namespace } = place;
  const name = `writer-${++serial}`;
  const program = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: PROGRAM, namespace },
    data: { 'writer.mjs': await programText('writer.mjs') },
  };
  if (!(await client.find(kinds.ConfigMap, program.metadata)))
    await client.create(kinds.ConfigMap, program as ConfigMap);
  await client.create(kinds.Secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    stringData: { settings: JSON.stringify(settings) },
  } as unknown as Secret);
  await client.create(kinds.Pod, podOf(name, place));
  await running(client, namespace, name);
  const recording = new Recording();
  const following = new AbortController();
  const followed = follow(client, namespace, name, recording, following.signal);
  return {
    recording,
    async stop() {
      await client.delete(kinds.Pod, { namespace, name }, { gracePeriodSeconds: 5 }).catch(() => {});
      await Promise.race([followed, new Promise((resolve) => setTimeout(resolve, 8_000))]);
      following.abort();
      return recording;
    },
  };
}

function podOf(name: string, { namespace, image, node }: WriterPlace): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: 'writer' } },
    spec: {
      restartPolicy: 'Never',
      ...(node ? { nodeSelector: { 'kubernetes.io/hostname': node } } : {}),
      terminationGracePeriodSeconds: 5,
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'writer',
          image,
          command: ['/pgherd/bin/node', '/writer/writer.mjs'],
          env: [{ name: SETTINGS_VARIABLE, valueFrom: { secretKeyRef: { name, key: 'settings' } } }],
          volumeMounts: [{ name: 'program', mountPath: '/writer', readOnly: true }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
      volumes: [{ name: 'program', configMap: { name: PROGRAM } }],
    },
  } as Pod;
}

async function running(client: Client, namespace: string, name: string): Promise<void> {
  let seen = '';
  await waitFor(
    async () => {
      const pod = await client.get(kinds.Pod, { namespace, name });
      seen = JSON.stringify(pod.status?.containerStatuses?.[0]?.state ?? pod.status?.conditions ?? {});
      return pod.status?.phase === 'Running' || pod.status?.phase === 'Succeeded';
    },
    { timeoutMs: 120_000, everyMs: 100, describe: () => `pod ${name} does not run: ${seen}` },
  );
}

/** Takes the writer's lines from its log, also across breaks of the API: the log is read again and known lines skipped. */
async function follow(
  client: Client,
  namespace: string,
  name: string,
  recording: Recording,
  signal: AbortSignal,
): Promise<void> {
  let known = 0;
  while (!signal.aborted && !recording.ended) {
    try {
      const stream = await logs(client, { namespace, name }, { follow: true, signal });
      const lines = new LineSplitter();
      let at = 0;
      for await (const chunk of stream) {
        for (const line of lines.push(chunk as Buffer)) {
          if (at++ < known) continue;
          known = at;
          recording.take(line);
        }
      }
    } catch {
      // Gone with its pod, or the API is away: the loop looks again.
      if (!(await stillThere(client, namespace, name))) return;
    }
    if (!recording.ended) await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stillThere(client: Client, namespace: string, name: string): Promise<boolean> {
  try {
    return (await client.find(kinds.Pod, { namespace, name })) !== undefined;
  } catch {
    return true;
  }
}
