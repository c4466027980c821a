/** What a writer said, and what follows from it. Pure but for the clock in the lines. */
import type { WriterLine } from './settings.ts';

/** Pauses between acknowledgements that are longer than this count as outages. Milliseconds. */
const PAUSE_MS = 100;

export interface Outage {
  /** Time of the last acknowledgement before, and of the first one after. Milliseconds since 1970. */
  from: number;
  to: number;
  ms: number;
}

export class Recording {
  /** Acknowledged ids in the order of their acknowledgements, and when those came. */
  readonly ids: number[] = [];
  readonly times: number[] = [];
  readonly lost: { at: number; id: number; error: string }[] = [];
  readonly warned: { at: number; id: number; notice: string }[] = [];
  ended = false;
  private readonly listeners = new Set<(line: WriterLine) => void>();

  /** Takes one line of the writer's output; anything that is not one is ignored. */
  take(text: string): void {
    if (!text.startsWith('{')) return;
    const line = JSON.parse(text) as WriterLine;
    if (line.event === 'acks') {
      for (const [id, at] of line.acks) {
        this.ids.push(id);
        this.times.push(at);
      }
    } else if (line.event === 'lost') this.lost.push(line);
    else if (line.event === 'warned') this.warned.push(line);
    else if (line.event === 'end') this.ended = true;
    for (const listener of this.listeners) listener(line);
  }

  /** Calls back for each line that is taken; returns what ends that. */
  onLine(listener: (line: WriterLine) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  get acknowledged(): number {
    return this.ids.length;
  }

  /** The pauses in which nothing was acknowledged, longest first, that end after `since` (milliseconds since 1970). */
  outages(since = 0): Outage[] {
    const found: Outage[] = [];
    for (let i = 1; i < this.times.length; i++) {
      const from = this.times[i - 1] as number;
      const to = this.times[i] as number;
      if (to - from > PAUSE_MS && to > since) found.push({ from, to, ms: to - from });
    }
    return found.sort((a, b) => b.ms - a.ms);
  }

  /** The longest pause between two acknowledgements after `since`; 0 ms when there were none worth the name. */
  longestOutage(since = 0): Outage {
    let longest: Outage = { from: since, to: since, ms: 0 };
    for (let i = 1; i < this.times.length; i++) {
      const from = this.times[i - 1] as number;
      const to = this.times[i] as number;
      if (to > since && to - from > longest.ms) longest = { from, to, ms: to - from };
    }
    return longest;
  }

  /** Milliseconds until the first acknowledgement after `since`, counted from the last one before it. */
  outageAfter(since: number): number | undefined {
    const next = this.times.findIndex((time) => time > since);
    if (next < 0) return undefined;
    return (this.times[next] as number) - (next > 0 ? (this.times[next - 1] as number) : since);
  }

  /** The acknowledged ids that are not among those found in the database. */
  missing(found: Iterable<number>): number[] {
    const there = new Set(found);
    return this.ids.filter((id) => !there.has(id));
  }
}
