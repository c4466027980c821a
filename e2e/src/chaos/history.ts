/** What clients saw, and what may not be in it. Pure. */

/** An insert that was acknowledged. Times are milliseconds since 1970 by the clients' one clock. */
export interface Ack {
  /** The client, whose table bears its name. */
  client: string;
  id: number;
  sentAt: number;
  ackAt: number;
  /** The timeline of the instance that acknowledged. */
  timeline: number;
  /** The address it was sent to, for clients that are bound to instances. */
  address?: string;
}

/** A read of the highest id in a client's table, through -rw. */
export interface Read {
  client: string;
  sentAt: number;
  gotAt: number;
  highest: number;
}

export interface Overlap {
  old: Ack;
  newer: Ack;
}

export interface Stale {
  client: string;
  /** The highest acknowledged id before the read was sent, and what the read found. */
  acknowledged: number;
  found: number;
  /** How long before the read the id that it did not find had been acknowledged, milliseconds. */
  byMs: number;
  at: number;
}

interface ClientHistory {
  ids: Set<number>;
  /** Acknowledgements that raised the highest id, in order. */
  rises: { id: number; at: number }[];
  lastAckAt: number;
  longestPauseMs: number;
}

export class History {
  readonly overlaps: Overlap[] = [];
  readonly stale: Stale[] = [];
  reads = 0;
  acknowledged = 0;
  warned = 0;
  private readonly clients = new Map<string, ClientHistory>();
  /** The first acknowledgement on each timeline. */
  private readonly firsts = new Map<number, Ack>();

  /** Takes an acknowledgement. They come in the order in which they were received. */
  acknowledge(ack: Ack): void {
    this.acknowledged += 1;
    const client = this.of(ack.client);
    client.ids.add(ack.id);
    if (client.lastAckAt > 0)
      client.longestPauseMs = Math.max(client.longestPauseMs, ack.ackAt - client.lastAckAt);
    client.lastAckAt = ack.ackAt;
    if (ack.id > (client.rises.at(-1)?.id ?? 0)) client.rises.push({ id: ack.id, at: ack.ackAt });
    // Sent after a newer primary had acknowledged something, and acknowledged by the old one all the same.
    for (const [timeline, newer] of this.firsts)
      if (timeline > ack.timeline && newer.ackAt < ack.sentAt) {
        this.overlaps.push({ old: ack, newer });
        break;
      }
    if (!this.firsts.has(ack.timeline)) this.firsts.set(ack.timeline, ack);
  }

  read(read: Read): void {
    this.reads += 1;
    const { rises } = this.of(read.client);
    const before = lastBefore(rises, read.sentAt);
    if (before === undefined || read.highest >= before.id) return;
    const missed = rises.find((rise) => rise.id > read.highest) as { id: number; at: number };
    this.stale.push({
      client: read.client,
      acknowledged: before.id,
      found: read.highest,
      byMs: read.sentAt - missed.at,
      at: read.sentAt,
    });
  }

  names(): string[] {
    return [...this.clients.keys()];
  }

  /** The ids that a client has got acknowledged so far. */
  acknowledgedBy(client: string): number[] {
    return [...this.of(client).ids];
  }

  /** Forgets ids whose loss has been told already, so that it is told once. */
  forget(client: string, ids: number[]): void {
    const { ids: known, rises } = this.of(client);
    const gone = new Set(ids);
    for (const id of ids) known.delete(id);
    const kept = rises.filter((rise) => !gone.has(rise.id));
    rises.splice(0, rises.length, ...kept);
  }

  /** The longest time between two acknowledgements to that client, milliseconds. */
  longestPause(client: string): number {
    return this.of(client).longestPauseMs;
  }

  lastAck(client: string): number {
    return this.of(client).lastAckAt;
  }

  private of(name: string): ClientHistory {
    const known = this.clients.get(name);
    if (known) return known;
    const made: ClientHistory = { ids: new Set(), rises: [], lastAckAt: 0, longestPauseMs: 0 };
    this.clients.set(name, made);
    return made;
  }
}

function lastBefore<T extends { at: number }>(rises: T[], time: number): T | undefined {
  for (let i = rises.length - 1; i >= 0; i--) if ((rises[i] as T).at < time) return rises[i];
  return undefined;
}
