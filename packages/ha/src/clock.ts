/**
 * Two clocks. The monotonic one may stand still while a machine is suspended, the wall clock may be set either way.
 * Who holds leadership believes the one that says more time has passed. Who wants to take it believes the monotonic
 * one: every moment that is counted from was noted by this very process, and of such a time it says too little, if
 * anything, and never too much. A wall clock that was set back would only make silence and grants last for as long
 * as it was set back. A restarted process counts anew.
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

/** Time passed since `then`, noted by this process, as a taker must see it (ELECTION 1): not more than has passed. */
export function elapsedForTaker(then: Now, now: Now): number {
  return now.mono - then.mono;
}

/** Time passed by the monotonic clock: for patience and back-off, where nothing can be lost. */
export function elapsed(then: Now, now: Now): number {
  return now.mono - then.mono;
}
