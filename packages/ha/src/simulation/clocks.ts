/** The clocks of one instance: neither exact nor to be trusted. */
import type { Now } from '../clock.ts';
import type { World } from './world.ts';

export class SimClocks {
  /** How fast they run: 1.01 is one part in a hundred too fast. */
  rate = 1;
  /** What the wall clock was set ahead or back by. */
  jump = 0;
  /** What the monotonic clock missed while the machine was suspended. */
  missed = 0;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  now(): Now {
    const passed = this.#world.time * this.rate;
    return { mono: passed - this.missed, wall: 1_700_000_000_000 + passed + this.jump };
  }

  /** Milliseconds of the world until this much has passed by these clocks. */
  toWorld(ms: number): number {
    return ms / this.rate;
  }
}
