/** How full the volumes are, and whether they take writes. */
import { dirname } from 'node:path';
import { dataClaimName, type VolumeUsage, walClaimName } from '@pgherd/api';
import { volumeLevel, volumeUsage } from '@pgherd/postgres';
import type { Layout } from './layout.ts';
import { WriteProbe } from './write-probe.ts';

/** A look that a hung disk does not answer in this time is left alone; the last one counts meanwhile. */
const LOOK_MS = 300;

export class Volumes {
  readonly #paths: [name: string, path: string][];
  readonly #probes: Map<string, WriteProbe>;
  #last: VolumeUsage[] = [];
  #running: Promise<void> | undefined;

  constructor(layout: Layout, instance: string) {
    this.#paths = [
      [dataClaimName(instance), layout.notes],
      ...(layout.walDir ? ([[walClaimName(instance), layout.walDir]] as [string, string][]) : []),
    ];
    this.#probes = new Map(this.#paths.map(([name, path]) => [name, new WriteProbe(path)]));
  }

  /** The state now, or the last one known: ends within LOOK_MS, and never piles up looks on a hung disk. */
  async look(): Promise<VolumeUsage[]> {
    this.#running ??= this.#measure().finally(() => {
      this.#running = undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_MS);
    });
    await Promise.race([this.#running, late]);
    clearTimeout(timer);
    return this.#last.map((usage) =>
      this.#probes.get(usage.name)?.isStuck() ? { ...usage, hung: true } : usage,
    );
  }

  async #measure(): Promise<void> {
    const usages = await Promise.all(
      this.#paths.map(async ([name, path]) => {
        // The folders are made with the first data: until then, what they will lie in.
        const usage = (await volumeUsage(path)) ?? (await volumeUsage(dirname(path)));
        return usage && { name, level: volumeLevel(usage), ...usage };
      }),
    );
    this.#last = usages.filter((usage) => usage !== undefined);
  }
}
