import { InstanceError } from '../errors.ts';

/** Requests one after the other, each to be ended by the stop that comes in between. */
export class LineUp {
  #last: Promise<unknown> = Promise.resolve();
  #current: AbortController | undefined;
  #interrupts = 0;

  /** Runs when all earlier requests have ended; the signal is aborted by `outer` or by an interrupt. */
  run<T>(
    what: string,
    outer: AbortSignal | undefined,
    request: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const seen = this.#interrupts;
    const result = this.#last.then(async () => {
      // What was asked for before a stop must not start anything after it.
      if (seen !== this.#interrupts || outer?.aborted)
        throw new InstanceError('Cancelled', `${what}: cancelled`);
      const controller = new AbortController();
      this.#current = controller;
      const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal;
      try {
        return await request(signal);
      } finally {
        if (this.#current === controller) this.#current = undefined;
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /**
   * Ends the request that runs, drops those that wait, and stops at once; when the request has given up, stops
   * again, for it may have started something in between.
   */
  interrupt(stop: () => Promise<void>): Promise<void> {
    this.#interrupts++;
    const running = this.#current;
    running?.abort();
    const last = this.#last;
    const result = (async () => {
      await stop();
      if (!running) return;
      await last;
      await stop();
    })();
    // What is asked for from now on waits for the stop.
    this.#last = Promise.all([last, result.catch(() => undefined)]);
    return result;
  }
}
