/** How long the kubelet lets a crashing container rest: none, 10 s, 20 s, ... 5 min; forgotten after 10 good minutes. */
const FIRST_MS = 10_000;
const LONGEST_MS = 300_000;
const FORGET_MS = 600_000;

interface Entry {
  delayMs: number;
  /** End of the run that raised it last. */
  at: number;
}

export class RestartBackoff {
  private readonly entries = new Map<string, Entry>();

  /** Until when a container whose last run ended at `finishedAt` rests (milliseconds since 1970). */
  until(name: string, finishedAt: number): number {
    const entry = this.entries.get(name);
    if (!entry || finishedAt - entry.at > FORGET_MS) return 0;
    return finishedAt + entry.delayMs;
  }

  /** To be told of each restart. */
  restarted(name: string, finishedAt: number): void {
    const entry = this.entries.get(name);
    const fresh = !entry || finishedAt - entry.at > FORGET_MS;
    const delayMs = fresh ? FIRST_MS : Math.min(entry.delayMs * 2, LONGEST_MS);
    this.entries.set(name, { delayMs, at: finishedAt });
  }

  delay(name: string): number {
    return this.entries.get(name)?.delayMs ?? 0;
  }
}
