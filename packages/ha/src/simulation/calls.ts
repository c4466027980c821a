/** Calls of one simulated instance: to the API, and to its peers. */
import type { SimInstance } from './instance.ts';

export class Calls {
  readonly #o: SimInstance;

  constructor(instance: SimInstance) {
    this.#o = instance;
  }

  /** A call to the API. What was sent arrives, also after whoever sent it has given up, or has died. */
  api<T>(timeoutMs: number, serve: () => T, answer: (result: T | undefined) => void): void {
    const { world, name } = this.#o;
    const { api } = world;
    let open = true;
    const end = (result: T | undefined) => {
      if (!open) return;
      open = false;
      answer(result);
    };
    if (!api.reachable(name)) {
      this.#o.later(timeoutMs, () => end(undefined));
      return;
    }
    const there = api.delay();
    const back = api.delay();
    world.after(there, () => {
      if (!api.reachable(name)) return;
      const result = serve();
      if (api.answers(name)) this.#o.later(back, () => end(result));
    });
    if (there + back < timeoutMs && api.lostAnswers === 0) {
      // Only what may fail needs a clock.
      this.#o.later(there + back + 1, () => {
        if (open) this.#o.later(timeoutMs, () => end(undefined));
      });
    } else this.#o.later(timeoutMs, () => end(undefined));
  }

  /**
   * Asks peers in parallel: all answers together, as soon as all are there or the time is up. `each` is told of each
   * answer as it comes, also of one that comes late.
   */
  peers<T>(
    { names, timeoutMs }: { names: string[]; timeoutMs: number },
    serve: (peer: SimInstance, answer: (result: T) => void) => void,
    done: (answers: Record<string, T | null>) => void,
    each: (name: string, result: T) => void = () => undefined,
  ): void {
    const { world, name: self } = this.#o;
    const answers: Record<string, T | null> = {};
    let missing = names.length;
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      done(answers);
    };
    let silent = names.length === 0;
    for (const name of names) {
      answers[name] = null;
      const peer = world.instances.get(name);
      if (!peer?.alive || peer.exited !== undefined) {
        if (peer && !peer.alive && !world.reachable(self, name)) silent = true;
        // Nobody listens there: the refusal comes at once.
        else this.#o.later(2, () => --missing === 0 && end());
        continue;
      }
      if (!world.network.arrives(self, name) || peer.standsStill || !world.reachable(name, self))
        silent = true;
      world.after(world.network.latency(), () => {
        if (!peer.answers || !world.reachable(self, name)) return;
        serve(peer, (result) => {
          if (!world.network.arrives(name, self)) return;
          this.#o.later(world.network.latency(), () => {
            answers[name] = result;
            each(name, result);
            if (--missing === 0) end();
          });
        });
      });
    }
    if (names.length === 0) this.#o.later(1, end);
    else if (silent || world.network.loss > 0) this.#o.later(timeoutMs, end);
    else
      this.#o.later(30, () => {
        if (open) this.#o.later(timeoutMs - 30, end);
      });
  }
}
