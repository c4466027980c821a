import {
  type Cache,
  type Client,
  isKubeError,
  kinds,
  type Log,
  type Pod,
  type PodStatus,
} from '@pgherd/kube';
import { differs } from './pod-status.ts';

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1000;

/** Writes one pod's status: at once, the newest only, and again until the API has it. */
export class StatusWriter {
  private readonly client: Client;
  private readonly cache: Cache<Pod>;
  private readonly log: Log;
  private wanted: { pod: Pod; status: PodStatus } | undefined;
  private busy: Promise<void> | undefined;
  private stopped = false;

  constructor(client: Client, cache: Cache<Pod>, log: Log) {
    this.client = client;
    this.cache = cache;
    this.log = log;
  }

  push(pod: Pod, status: PodStatus): void {
    if (this.stopped) return;
    this.wanted = { pod, status };
    this.busy ??= this.work().finally(() => {
      this.busy = undefined;
    });
  }

  /** Resolves when what was pushed is written, or given up. */
  async flush(): Promise<void> {
    await this.busy;
  }

  stop(): void {
    this.stopped = true;
    this.wanted = undefined;
  }

  private async work(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (this.wanted) {
      const { pod, status } = this.wanted;
      this.wanted = undefined;
      try {
        await this.write(pod, status);
        retryMs = FIRST_RETRY_MS;
      } catch (error) {
        if (this.stopped || isKubeError(error, 'NotFound', 'Conflict', 'Invalid', 'BadRequest')) {
          this.log.warn({ pod: pod.metadata.name, error: String(error) }, 'the API refuses a status');
          continue;
        }
        this.wanted ??= { pod, status };
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
      }
    }
  }

  private async write(pod: Pod, status: PodStatus): Promise<void> {
    const { namespace, name, uid } = pod.metadata;
    const known = this.cache.get(namespace, name);
    const current = known?.metadata.uid === uid ? known! : pod;
    if (!differs(current, status)) return;
    const gone: Record<string, null> = {};
    for (const field of ['reason', 'message'] as const) {
      if (current.status?.[field] && !status[field]) gone[field] = null;
    }
    const answer = await this.client.patch(
      kinds.Pod,
      { namespace, name },
      {
        type: 'strategic',
        subresource: 'status',
        // The uid makes the API refuse it for another pod of the same name.
        body: { metadata: { uid }, status: { ...status, ...gone } },
        timeoutMs: 3000,
      },
    );
    this.cache.absorb(answer);
  }
}
