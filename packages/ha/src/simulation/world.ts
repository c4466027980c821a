/** A world in which whole clusters of the machine live: its time, its network, its Kubernetes API. All from one seed. */
import type { Now } from '../clock.ts';
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../events.ts';
import { RULES, type Rules } from '../rules.ts';
import type { LeaseRecord, PodFact, Settings } from '../types.ts';
import { SimInstance } from './instance.ts';

interface Due {
  at: number;
  order: number;
  run(): void;
}

export interface WorldOptions {
  seed?: number;
  instances?: number;
  settings?: Partial<Settings>;
  /** For tests that take a rule away and look for the harm. */
  rules?: Partial<Rules>;
}

export class World {
  /** Milliseconds. */
  time = 0;
  readonly settings: Settings;
  readonly rules: Rules;
  readonly instances = new Map<string, SimInstance>();
  apiUp = true;
  lease: { version: number; record: LeaseRecord } | null;
  /** What -rw points at, and under which epoch. */
  rw: { instance?: string; epoch: number } = { epoch: -1 };
  /** Record ids that a client was told are committed, with the time and the instance that said so. */
  readonly acked: { id: number; at: number; by: string }[] = [];
  readonly notes: string[] = [];
  readonly violations: string[] = [];
  #cut = new Set<string>();
  #due: Due[] = [];
  #order = 0;
  #random: number;
  #nextRecord = 1;

  constructor(options: WorldOptions = {}) {
    this.#random = options.seed ?? 1;
    this.rules = { ...RULES, ...options.rules };
    const count = options.instances ?? 3;
    const names = Array.from({ length: count }, (_, i) => `demo-${i + 1}`);
    this.settings = {
      instances: count,
      instanceNames: names,
      renewMs: 2_000,
      stopMs: 6_000,
      guardMs: 8_000,
      takeMs: 10_000,
      failoverDelayMs: 0,
      primaryStartMs: 60_000,
      switchoverMs: 10_000,
      fastStopMs: 15_000,
      epochFloor: 0,
      fenced: [],
      ...options.settings,
    };
    this.lease = {
      version: 1,
      record: { holder: null, epoch: 0, designated: 'demo-1', members: [], rules: [] },
    };
    for (const name of names) this.add(name);
  }

  add(name: string): SimInstance {
    const instance = new SimInstance(this, name);
    this.instances.set(name, instance);
    instance.startContainer();
    return instance;
  }

  get(name: string): SimInstance {
    return this.instances.get(name)!;
  }

  /** A number from 0 (included) to 1 (not), the same for the same seed. */
  random(): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return this.#random / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  clocks(): Now {
    return { mono: this.time, wall: 1_700_000_000_000 + this.time };
  }

  after(ms: number, run: () => void): void {
    this.#due.push({ at: this.time + ms, order: this.#order++, run });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = this.#next();
      if (!next || next.at > end) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.run();
      this.#check();
    }
    this.time = end;
  }

  /** Lets time pass until `condition` holds; throws after `limitMs`. Returns the milliseconds it took. */
  until(condition: () => boolean, limitMs: number, what = condition.toString()): number {
    const start = this.time;
    while (!condition()) {
      if (this.time - start > limitMs)
        throw new Error(
          `not within ${limitMs} ms: ${what}\n${this.picture()}\n${this.notes.slice(-30).join('\n')}`,
        );
      this.run(5);
    }
    return this.time - start;
  }

  #next(): Due | undefined {
    let best: Due | undefined;
    for (const due of this.#due)
      if (!best || due.at < best.at || (due.at === best.at && due.order < best.order)) best = due;
    return best;
  }

  // --- network ------------------------------------------------------------------------------------------------

  /** Cuts an instance off from its peers and the API. */
  isolate(name: string): void {
    this.#cut.add(name);
  }

  heal(name: string): void {
    this.#cut.delete(name);
  }

  reachable(a: string, b: string): boolean {
    return a === b || (!this.#cut.has(a) && !this.#cut.has(b));
  }

  apiReachable(name: string): boolean {
    return this.apiUp && !this.#cut.has(name) && !this.get(name).isolatedFromApi;
  }

  // --- the API ------------------------------------------------------------------------------------------------

  readLease(): LeaseReadOutcome {
    if (!this.lease) return { kind: 'missing' };
    return { kind: 'found', version: String(this.lease.version), record: structuredClone(this.lease.record) };
  }

  writeLease(version: string, record: LeaseRecord): LeaseWriteOutcome {
    if (!this.lease || String(this.lease.version) !== version) return { kind: 'conflict' };
    this.lease = { version: this.lease.version + 1, record: structuredClone(record) };
    for (const instance of this.instances.values()) instance.leaseChanged(String(this.lease.version));
    return { kind: 'ok', version: String(this.lease.version), record: structuredClone(record) };
  }

  pods(): PodFact[] {
    return [...this.instances.values()].filter((each) => each.podExists).map((each) => each.podFact());
  }

  podsChanged(): void {
    for (const instance of this.instances.values()) instance.podsChanged();
  }

  settingsChanged(changed: Partial<Settings>): void {
    Object.assign(this.settings, changed);
    for (const instance of this.instances.values())
      instance.feed({ type: 'settings', settings: { ...this.settings } });
  }

  // --- what must never happen ---------------------------------------------------------------------------------

  newRecord(): number {
    return this.#nextRecord++;
  }

  primaries(): SimInstance[] {
    return [...this.instances.values()].filter((each) => each.database.isPrimary());
  }

  leader(): SimInstance | undefined {
    const record = this.lease?.record;
    return record?.holder && record.leader ? this.get(record.leader.name) : undefined;
  }

  /** One primary, which leads, and all others stream from it. */
  settled(): boolean {
    const [primary, ...more] = this.primaries();
    if (!primary || more.length > 0 || primary !== this.leader()) return false;
    return [...this.instances.values()].every(
      (each) => each === primary || each.database.streamsFrom(primary.name),
    );
  }

  #check(): void {
    const primaries = this.primaries();
    if (primaries.length > 1 && primaries.every((each) => each.database.couldAcknowledge()))
      this.#violation(`two primaries acknowledge: ${primaries.map((each) => each.name).join(', ')}`);
  }

  /** Called when an instance has been promoted or started as primary. */
  checkNewPrimary(instance: SimInstance): void {
    if (!this.settings.sync?.required) return;
    const has = new Set(instance.database.wal);
    const lost = this.acked.filter(({ id }) => !has.has(id));
    if (lost.length > 0)
      this.#violation(
        `${instance.name} leads without ${lost.length} acknowledged records, the first by ${lost[0]!.by}`,
      );
  }

  #violation(text: string): void {
    const line = `${this.time.toFixed(0)}: ${text}`;
    if (!this.violations.includes(line)) this.violations.push(line);
  }

  note(name: string, text: string): void {
    this.notes.push(`${this.time.toFixed(0)} ${name}: ${text}`);
  }

  picture(): string {
    const lines = [...this.instances.values()].map((each) => each.picture());
    return [`lease ${JSON.stringify(this.lease)}`, ...lines].join('\n');
  }
}
