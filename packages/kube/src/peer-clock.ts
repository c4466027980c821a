/** Nothing nearer than this is held for a difference: a Date header has seconds, and an answer takes its time. */
const TOLERANCE_MS = 3_000;
/** An answer that was under way for longer says nothing about the present. */
const FRESH_MS = 2_000;

/**
 * The clock of another machine, as the Date headers of its answers tell it. What it wrote is compared with this clock
 * and not with ours: clocks of nodes differ.
 */
export class PeerClock {
  private skewMs = 0;
  private readonly ours: () => number;

  /** `ours`: milliseconds since 1970. */
  constructor(ours: () => number = Date.now) {
    this.ours = ours;
  }

  /** Milliseconds since 1970, over there. */
  now(): number {
    return this.ours() + this.skewMs;
  }

  /** How far it is ahead of ours, in milliseconds. */
  get aheadMs(): number {
    return this.skewMs;
  }

  /** A Date header of an answer that came `tookMs` after its question. */
  hear(date: string | undefined, tookMs: number): void {
    const theirs = Date.parse(date ?? '');
    if (Number.isNaN(theirs) || tookMs > FRESH_MS) return;
    const skewMs = theirs - this.ours();
    if (Math.abs(skewMs) < TOLERANCE_MS) this.skewMs = 0;
    else if (Math.abs(skewMs - this.skewMs) >= TOLERANCE_MS) this.skewMs = skewMs;
  }
}
