import { mkdirSync } from 'node:fs';
import type { Pod } from '@pgherd/kube';
import { stageFolder } from '../shim/client.ts';
import { messageOf, type NodeContext } from './context.ts';
import { readerOf } from './objects.ts';
import { type PreparedVolume, prepareVolume, type VolumeReader } from './volumes.ts';

const AGAIN_MS = 10_000;
const SOONEST_MS = 1000;

/** The volumes of one pod: made before its containers start, and made anew when what they hold changes. */
export class PodVolumes {
  readonly prepared = new Map<string, PreparedVolume>();
  readonly reader: VolumeReader;
  private readonly context: NodeContext;
  private readonly pod: () => Pod;
  private readonly podIP: () => string | undefined;
  private renewal: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(context: NodeContext, pod: () => Pod, podIP: () => string | undefined) {
    this.context = context;
    this.pod = pod;
    this.podIP = podIP;
    this.reader = readerOf(context.client, context.objects, pod(), () => this.refresh());
  }

  /** @throws LocalError VolumeFailed */
  async make(): Promise<void> {
    const pod = this.pod();
    const { layout, root, nodeIP } = this.context;
    const dir = layout.pod(pod.metadata.uid!).volumes;
    const context = {
      pod,
      place: { podIP: this.podIP() ?? '', hostIP: nodeIP },
      dir,
      root,
      stage: stageFolder(layout.dir),
      reader: this.reader,
      now: Date.now(),
    };
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    await Promise.all(
      (pod.spec.volumes ?? []).map(async (volume) => {
        this.prepared.set(volume.name, await prepareVolume(context, volume));
      }),
    );
    const times = [...this.prepared.values()].map(({ renewAt = Number.POSITIVE_INFINITY }) => renewAt);
    const renewAt = Math.min(...times);
    if (renewAt < Number.POSITIVE_INFINITY) this.refreshAt(renewAt);
  }

  /** Whether some of them show the pod's own address, which it gets with its sandbox. */
  get needAddress(): boolean {
    return (this.pod().spec.volumes ?? []).some(
      ({ downwardAPI, projected }) => downwardAPI || projected?.sources?.some((source) => source.downwardAPI),
    );
  }

  /** Something that volumes are made of has changed, or a token has grown old. */
  refresh(): void {
    if (this.closed || this.prepared.size === 0) return;
    this.make().catch((error) => {
      const { namespace, name } = this.pod().metadata;
      this.context.log.warn({ pod: `${namespace}/${name}`, error: messageOf(error) }, 'refreshing volumes');
      this.refreshAt(Date.now() + AGAIN_MS);
    });
  }

  private refreshAt(time: number): void {
    clearTimeout(this.renewal);
    if (this.closed) return;
    this.renewal = setTimeout(() => this.refresh(), Math.max(SOONEST_MS, time - Date.now()));
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.renewal);
  }
}
