import type { Client } from '@pgherd/kube';
import { WebSocket } from 'ws';

export interface ExecResult {
  output: string;
  errors: string;
  exitCode: number;
}

/** Runs a command in the container `c` of a pod, as kubectl does. */
export function execInPod(
  client: Client,
  pod: string,
  command: string[],
  options: { input?: string; tty?: boolean } = {},
): Promise<ExecResult> {
  const query = new URLSearchParams({ container: 'c', stdout: 'true', stderr: 'true' });
  for (const word of command) query.append('command', word);
  if (options.input !== undefined) query.set('stdin', 'true');
  if (options.tty) query.set('tty', 'true');
  const { server, ca, cert, key } = client.config;
  const url = `${server.replace('https', 'wss')}/api/v1/namespaces/default/pods/${pod}/exec?${query}`;
  const socket = new WebSocket(url, 'v5.channel.k8s.io', { ca, cert, key });
  const result: ExecResult = { output: '', errors: '', exitCode: -1 };
  return new Promise((resolve, reject) => {
    socket.on('open', () => {
      if (options.input === undefined) return;
      socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(options.input)]));
      socket.send(Buffer.from([255, 0]));
    });
    socket.on('message', (message: Buffer) => {
      const text = message.subarray(1).toString();
      if (message[0] === 1) result.output += text;
      else if (message[0] === 2) result.errors += text;
      else if (message[0] === 3) result.exitCode = exitCodeOf(text);
    });
    socket.on('close', () => resolve(result));
    socket.on('error', reject);
  });
}

function exitCodeOf(text: string): number {
  const status = JSON.parse(text) as {
    status: string;
    details?: { causes?: { reason: string; message: string }[] };
  };
  if (status.status === 'Success') return 0;
  const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  return Number(cause?.message ?? -1);
}
