/** The network of the simulated world: links that are cut one way or both, messages that are slow or lost. */
import type { World } from './world.ts';

export class Network {
  /** Milliseconds that any message may take; more while the network is slow. */
  slowest = 3;
  /** The part of messages between instances that is lost. */
  loss = 0;
  readonly #world: World;
  readonly #cut = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** How long a message takes. */
  latency(): number {
    return this.#world.between(1, this.slowest);
  }

  /** Cuts one way: what `from` sends does not reach `to`, an instance or `api`. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
    this.#world.watchdog.disturbed();
  }

  /** Mends all links of `name`, or all there are. */
  heal(name?: string): void {
    this.#world.watchdog.disturbed();
    for (const each of [...this.#cut])
      if (name === undefined || each.startsWith(`${name}>`) || each.endsWith(`>${name}`))
        this.#cut.delete(each);
  }

  /** Cuts an instance off from its peers and the API. */
  isolate(name: string): void {
    for (const other of [...this.#world.instances.keys(), 'api']) {
      if (other === name) continue;
      this.cut(name, other);
      this.cut(other, name);
    }
  }

  isolateFromApi(name: string): void {
    this.cut(name, 'api');
    this.cut('api', name);
  }

  /** Whether what `from` sends now reaches `to`. */
  reachable(from: string, to: string): boolean {
    return from === to || this.#cut.size === 0 || !this.#cut.has(`${from}>${to}`);
  }

  /** A message between instances: it may be lost as well. */
  arrives(from: string, to: string): boolean {
    return this.reachable(from, to) && (this.loss === 0 || this.#world.random() >= this.loss);
  }
}
