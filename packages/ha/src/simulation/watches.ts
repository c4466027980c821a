/** What a simulated instance hears of the API: at its start, and whenever something has changed. */
import type { LeaseRecord } from '../types.ts';
import type { SimInstance } from './instance.ts';

export class Watches {
  readonly #o: SimInstance;
  #settingsPending = false;
  #podsPending = false;

  constructor(instance: SimInstance) {
    this.#o = instance;
  }

  /** The Cluster, the pods and the own container ID become known when the API can be reached. */
  begin(): void {
    this.#settingsPending = false;
    this.#podsPending = false;
    this.#first();
  }

  #first(): void {
    this.#o.later(this.#o.world.between(50, 150), () => {
      if (!this.#o.world.api.reachable(this.#o.name)) {
        this.#o.feed({ type: 'tick' });
        this.#first();
        return;
      }
      this.#o.feed({ type: 'settings', settings: { ...this.#o.world.settings } });
      this.#o.feed({ type: 'pods', pods: this.#o.world.pods() });
      this.#o.feed({ type: 'self', containerID: this.#o.containerID });
    });
  }

  settingsChanged(): void {
    if (this.#settingsPending || !this.#o.alive) return;
    this.#settingsPending = true;
    const tell = () => {
      if (!this.#o.world.api.reachable(this.#o.name)) {
        this.#o.later(500, tell);
        return;
      }
      this.#settingsPending = false;
      this.#o.feed({ type: 'settings', settings: { ...this.#o.world.settings } });
    };
    this.#o.later(this.#o.world.between(5, 50), tell);
  }

  /** What the watch tells may be old by then, and come after what was changed later. */
  leaseChanged(version: string | undefined, record?: LeaseRecord): void {
    if (!this.#o.world.api.reachable(this.#o.name)) return;
    this.#o.later(this.#o.world.api.delay(), () => {
      // What it knows already, by a write of its own, is no news.
      if (version !== undefined && version === this.#o.state.lease?.version) return;
      this.#o.feed({
        type: 'leaseHint',
        ...(version === undefined ? {} : { version }),
        ...(record ? { record } : {}),
      });
    });
  }

  podsChanged(): void {
    if (this.#podsPending || !this.#o.alive) return;
    this.#podsPending = true;
    const tell = () => {
      // A watch that broke lists anew once it can.
      if (!this.#o.world.api.reachable(this.#o.name)) {
        this.#o.later(500, tell);
        return;
      }
      this.#podsPending = false;
      this.#o.feed({ type: 'pods', pods: this.#o.world.pods() });
    };
    this.#o.later(this.#o.world.between(1, 10), tell);
  }
}
