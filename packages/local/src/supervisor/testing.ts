import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type Container, kinds, type Pod, type PodSpec } from '@pgherd/kube';
import { loadKubeconfig } from '@pgherd/kube/kubeconfig';
import { reset, up } from '../index.ts';
import { markedProcesses } from '../net/processes.ts';
import type { LocalInfo } from '../types.ts';
import { roleOf } from './network.ts';

/** A local mode of its own for one test file. Dies with the test process, however that ends. */
export interface TestLocal {
  state: string;
  info: LocalInfo;
  client: Client;
  up(): Promise<LocalInfo>;
  processes(): { pid: number; role: string }[];
  end(): Promise<void>;
}

/** The image of test pods: the machine's own programs. */
export const IMAGE = 'test/shell:1';

export async function startTestLocal(nodes: number): Promise<TestLocal> {
  const state = mkdtempSync(join(tmpdir(), 'pgherd-local-'));
  const start = (): Promise<LocalInfo> => up({ state, nodes, images: { [IMAGE]: {} }, dieWith: process.pid });
  const end = async (): Promise<void> => {
    await reset({ state });
    rmSync(state, { recursive: true, force: true });
  };
  try {
    const info = await start();
    const client = new Client({ ...(await loadKubeconfig({ path: info.kubeconfig })), userAgent: 'test' });
    return {
      state,
      info,
      client,
      up: start,
      processes: () => markedProcesses(state).map((pid) => ({ pid, role: roleOf(pid) })),
      async end() {
        client.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Waits for a condition; looks every 20 ms. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 20_000,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < end) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    await sleep(20);
  }
  throw new Error(`${what}: not within ${timeoutMs} ms${last ? `; ${String(last)}` : ''}`);
}

export function shellPod(
  name: string,
  script: string,
  more: { spec?: Partial<PodSpec>; container?: Partial<Container> } = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 2,
      securityContext: { runAsUser: 26, runAsGroup: 26, fsGroup: 26 },
      containers: [{ name: 'c', image: IMAGE, command: ['sh', '-c', script], ...more.container }],
      ...more.spec,
    },
  };
}

/** An HTTP server in a few lines of Perl, which every Debian has: answers with a text and who asked. */
export function httpServer(text: string): string {
  return `exec perl -MIO::Socket::INET -e '
    $SIG{TERM} = sub { exit 0 };
    my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 9, ReuseAddr => 1) or die;
    while (1) { my $c = $s->accept or next; while (<$c>) { last if /^\\r?\\n$/ }
      print $c "HTTP/1.0 200 OK\\r\\n\\r\\n${text} " . $c->peerhost; close $c }'`;
}

export async function getPod(client: Client, name: string): Promise<Pod> {
  return client.get(kinds.Pod, { namespace: 'default', name });
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

export async function ready(client: Client, name: string): Promise<Pod> {
  return eventually(`pod ${name} ready`, async () => {
    const pod = await getPod(client, name);
    return isReady(pod) && pod;
  });
}

export async function logOf(client: Client, name: string, query = ''): Promise<string> {
  return client.text({ path: `/api/v1/namespaces/default/pods/${name}/log${query}` });
}
