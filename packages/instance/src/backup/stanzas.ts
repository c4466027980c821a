/** Sees to it that each repository has the stanza, and knows what is wrong with each: one never speaks for another. */

/** A stanza that could not be made is tried again after this time. */
const AGAIN_MS = 5_000;
/** And one that is there is looked at again. */
const LOOK_MS = 300_000;

interface Known {
  ready: boolean;
  /** When it is to be looked at (again), by `performance.now()`; never while that is being done. */
  notBefore: number;
  problem?: string;
}

export class Stanzas {
  #known = new Map<string, Known>();

  /** Nothing is known any more, and answers that are under way are of no interest. */
  forget(): void {
    this.#known = new Map();
  }

  /** What failed may have been put right: it is tried again at once. */
  again(): void {
    for (const one of this.#known.values())
      if (one.problem !== undefined && one.notBefore !== Number.POSITIVE_INFINITY) one.notBefore = 0;
  }

  /** What was right may be so no more: it is looked at again once every pod has read what has changed. */
  lookSoon(ms: number): void {
    for (const one of this.#known.values())
      one.notBefore =
        one.notBefore === Number.POSITIVE_INFINITY
          ? one.notBefore
          : Math.min(one.notBefore, performance.now() + ms);
  }

  /** Makes those that are due, all at the same time, and does not wait for them. */
  see(repositories: readonly string[], make: (repository: string) => Promise<void>, done: () => void): void {
    const known = this.#known;
    for (const name of repositories) {
      const before = known.get(name);
      if ((before?.notBefore ?? 0) > performance.now()) continue;
      known.set(name, { ready: false, ...before, notBefore: Number.POSITIVE_INFINITY });
      make(name)
        .then(
          () => ({ ready: true, notBefore: performance.now() + LOOK_MS }),
          (error: Error) => ({
            ready: false,
            notBefore: performance.now() + AGAIN_MS,
            problem: error.message,
          }),
        )
        .then((found) => {
          if (known !== this.#known) return;
          known.set(name, found);
          done();
        });
    }
  }

  ready(): string[] {
    return [...this.#known].filter(([, { ready }]) => ready).map(([name]) => name);
  }

  problems(): [string, string][] {
    return [...this.#known].flatMap(([name, { problem }]) =>
      problem === undefined ? [] : [[name, problem]],
    );
  }
}
