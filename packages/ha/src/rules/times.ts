/** Times that rules count, in milliseconds, and that no setting changes. */

/** After a hand-over by name, others wait this long before they may take what the named one left lying. */
export const HANDOVER_MS = 5_000;
/** How long a candidate gives way to an equal peer with the better name, which may be unable to write the Lease. */
export const TIE_MS = 1_000;
/** How long a candidate of an asynchronous cluster waits for a reachable peer to come up and learn its own position. */
export const UNKNOWN_MS = 5_000;
/** Age up to which a leader's answer proves that it leads now. */
export const PROOF_MS = 3_000;
/** How long data are kept to let another instance be made anew first. */
export const FIRST_MS = 30_000;
/** How often an instance is rewound under one leadership, before it is copied anew. */
export const MAX_REWINDS = 2;
/** A candidate waits this long for the promises it asked for. */
export const PROMISE_MS = 1_000;
/** How long after a renewal was due the Lease counts as quiet. A leader that lives has asked for grants before. */
export const QUIET_MS = 1_000;
/**
 * How long those that streamed from a dead primary have for their answers. On a machine that is busy, what takes some
 * milliseconds else may take half a second; to start in place would take far longer there.
 */
export const AFTER_DEATH_MS = 2_000;
