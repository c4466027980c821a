/** The recording writer inside an instance's container: whatever happens to the network, its session stays. */
import { Writable } from 'node:stream';
import { LineSplitter } from '@pgherd/cli/log-lines';
import { captureInPod, DATABASE_CONTAINER } from '@pgherd/cli/pod-exec';
import { programText } from '@pgherd/cli/programs/files';
import { Recording } from '@pgherd/cli/writer/recording';
import { SETTINGS_VARIABLE, type WriterSettings } from '@pgherd/cli/writer/settings';
import type { RunningWriter } from '@pgherd/cli/writer/start';
import type { Client } from '@pgherd/kube';
import { exec } from '@pgherd/kube/streams';

const PROGRAM = '/tmp/writer.mjs';
const STOP_MS = 3_000;

/** Starts a writer in the pod of an instance, by exec. What it says arrives as long as its container lives. */
export async function startWriterInside(
  client: Client,
  pod: { name: string; namespace: string },
  settings: WriterSettings,
): Promise<RunningWriter> {
  await captureInPod(client, { metadata: pod }, ['sh', '-c', `cat >${PROGRAM}`], {
    input: await programText('writer.mjs'),
  });
  const recording = new Recording();
  const lines = new LineSplitter();
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of lines.push(chunk)) recording.take(line);
      done();
    },
  });
  const ending = new AbortController();
  const ended = exec(client, pod, {
    container: DATABASE_CONTAINER,
    command: [
      'env',
      `${SETTINGS_VARIABLE}=${JSON.stringify(settings)}`,
      ...['sh', '-c', `echo $$ >${PROGRAM}.pid; exec /pgherd/bin/node ${PROGRAM}`],
    ],
    stdout,
    signal: ending.signal,
  }).catch(() => undefined);
  return {
    recording,
    async stop() {
      await captureInPod(client, { metadata: pod }, ['sh', '-c', `kill "$(cat ${PROGRAM}.pid)"`]).catch(
        () => undefined,
      );
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, STOP_MS))]);
      ending.abort();
      return recording;
    },
  };
}
