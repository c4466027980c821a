/** Since when this instance has served as the primary, and when it last stopped: what an outage is measured by. */
import type { InstanceReport } from '@pgherd/api';
import type { State } from '@pgherd/ha';

export class ServiceTimes {
  #serving = false;
  #since: number | undefined;
  #until: number | undefined;

  /** To be told after every step of the machine; `wall` in milliseconds since 1970. */
  watch(state: State, wall: number): void {
    const serving = isServing(state);
    if (serving === this.#serving) return;
    this.#serving = serving;
    if (serving) this.#since = wall;
    else this.#until = wall;
  }

  get report(): InstanceReport['service'] {
    const time = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
    const [since, until] = [this.#serving ? time(this.#since) : undefined, time(this.#until)];
    if (!since && !until) return undefined;
    return { ...(since ? { since } : {}), ...(until ? { until } : {}) };
  }
}

/** PostgreSQL takes writes and `-rw` leads here; from the moment its stop begins it does not. */
function isServing({ held, view, routed, job }: State): boolean {
  if (!held || routed?.epoch !== held.epoch || view?.process !== 'running') return false;
  return view.inRecovery === false && job?.job.kind !== 'stop' && job?.job.kind !== 'die';
}
