/** Waits that double from `minMs` to `maxMs`, each a quarter shorter or longer at random. */
export class Backoff {
  private attempt = 0;
  private readonly minMs: number;
  private readonly maxMs: number;

  constructor(minMs: number, maxMs: number) {
    this.minMs = minMs;
    this.maxMs = maxMs;
  }

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    return backoffMs(this.attempt++, this.minMs, this.maxMs);
  }

  reset(): void {
    this.attempt = 0;
  }
}

/** The wait after `failures` earlier failures. */
export function backoffMs(failures: number, minMs: number, maxMs: number): number {
  return Math.min(minMs * 2 ** Math.min(failures, 30), maxMs) * (0.75 + Math.random() / 2);
}

/** Waits; returns early, without an error, when `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
