/**
 * Two clocks, neither of them trusted alone: the monotonic one may stand still while a machine is suspended, the
 * wall clock may be set. Who holds leadership believes the one that says more time has passed; who wants to take
 * it believes the one that says less.
 */

/** One reading of both clocks, in milliseconds. */
export interface Now {
  mono: number;
  wall: number;
}

/** Time passed since `then` as the holder must see it (ELECTION 1): the larger of both clocks. */
export function elapsedForHolder(then: Now, now: Now): number {
  return Math.max(now.mono - then.mono, now.wall - then.wall);
}

/** Time passed since `then` as a taker must see it (ELECTION 1): the smaller of both clocks. */
export function elapsedForTaker(then: Now, now: Now): number {
  return Math.min(now.mono - then.mono, now.wall - then.wall);
}

/** Time passed by the monotonic clock: for patience and back-off, where nothing can be lost. */
export function elapsed(then: Now, now: Now): number {
  return now.mono - then.mono;
}
