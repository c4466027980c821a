/** A world in which whole clusters of the machine live: its time, its network, its clients. All from one seed. */
import { RULES, type Rules } from '../rules.ts';
import type { PodFact, Settings } from '../types.ts';
import { SimApi } from './api.ts';
import { Heap } from './heap.ts';
import { SimInstance } from './instance.ts';
import { Watchdog } from './invariants.ts';
import { Network } from './network.ts';
import type { Wal } from './wal.ts';

export interface WorldOptions {
  seed?: number;
  instances?: number;
  settings?: Partial<Settings>;
  /** For tests that take a rule away and look for the harm. */
  rules?: Partial<Rules>;
  /** Begin as a cluster that was stopped in order, with data and members everywhere. */
  settled?: boolean;
  /** The guard does not act: it would hide what a manager does wrong. */
  noGuard?: boolean;
}

export class World {
  /** Milliseconds. */
  time = 0;
  readonly settings: Settings;
  readonly rules: Rules;
  readonly instances = new Map<string, SimInstance>();
  readonly api: SimApi;
  readonly watchdog: Watchdog;
  readonly noGuard: boolean;
  /** What -rw points at, and under which epoch. */
  rw: { instance?: string; epoch: number } = { epoch: -1 };
  readonly notes: string[] = [];
  /** Notes are for people: random histories by the thousand do without. */
  quiet = false;
  /** Whether the machine changes nothing that it was given: slow. */
  pure = false;
  readonly network: Network;
  readonly #due = new Heap();
  #random: number;
  #nextRecord = 1;
  #nextName = 1;

  constructor(options: WorldOptions = {}) {
    this.#random = (options.seed ?? 1) * 2_654_435_761;
    this.rules = { ...RULES, ...options.rules };
    this.noGuard = options.noGuard === true;
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
    this.watchdog = new Watchdog(this);
    this.network = new Network(this);
    this.api = new SimApi(this);
    for (const name of names) this.#add(name);
    if (options.settled) this.#settle();
    for (const instance of this.instances.values()) instance.startContainer();
  }

  #add(name: string): SimInstance {
    const instance = new SimInstance(this, name);
    this.instances.set(name, instance);
    return instance;
  }

  /** One more instance, with an empty volume. */
  add(): SimInstance {
    const name = `demo-${this.instances.size + 1}`;
    const instance = this.#add(name);
    instance.startContainer();
    this.#countInstances();
    this.podsChanged();
    return instance;
  }

  /** The operator marks an instance as leaving, and removes it with its volume once the Lease no longer counts it. */
  remove(instance: SimInstance): void {
    instance.leaving = true;
    this.podsChanged();
    const look = () => {
      const record = this.api.lease?.record;
      if (
        !this.api.operatorUp ||
        !this.api.up ||
        !record ||
        record.members.some(({ name }) => name === instance.name)
      ) {
        this.after(300, look);
        return;
      }
      instance.die();
      instance.removed = true;
      instance.podExists = false;
      instance.database.wipe();
      this.#countInstances();
      this.podsChanged();
    };
    this.after(300, look);
  }

  /** Those that were removed are wanted no more. */
  #countInstances(): void {
    const names = [...this.instances.values()].filter((each) => !each.removed).map(({ name }) => name);
    this.settingsChanged({ instances: names.length, instanceNames: names });
  }

  /** Every instance has the same data; demo-1 led last, and released the Lease. */
  #settle(): void {
    const [first, ...others] = [...this.instances.values()];
    first!.database.initialise();
    first!.database.data = 'present';
    for (const each of others) {
      each.database.copyOf(first!.database);
      each.database.clean = true;
    }
    const { systemID } = first!.database;
    this.settings.systemID = systemID!;
    const record = this.api.lease!.record;
    Object.assign(record, {
      epoch: 1,
      systemID,
      timeline: 1,
      settled: { epoch: 1 },
      leader: { name: 'demo-1', podUID: first!.podUID, address: first!.address },
      members: [...this.instances.values()].map(({ name, database }) => ({
        name,
        incarnation: database.incarnation!,
      })),
    });
  }

  get(name: string): SimInstance {
    return this.instances.get(name)!;
  }

  // --- chance and time --------------------------------------------------------------------------------------------

  /** A number from 0 (included) to 1 (not), the same for the same seed. */
  random(): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  after(ms: number, run: () => void): void {
    this.#due.push(this.time + ms, run);
  }

  /** Lets time pass; ends early at a violation. */
  run(ms: number): void {
    const end = this.time + ms;
    const due = this.#due;
    while (due.next <= end && this.watchdog.violations.length === 0) {
      const { at, run } = due.pop();
      if (at > this.time) this.time = at;
      try {
        run();
      } catch (error) {
        this.watchdog.threw(error);
      }
    }
    if (this.watchdog.violations.length === 0) this.time = end;
  }

  /** Lets time pass until `condition` holds; throws after `limitMs`. Returns the milliseconds it took. */
  until(condition: () => boolean, limitMs: number, what = condition.toString()): number {
    const start = this.time;
    while (!condition()) {
      if (this.time - start > limitMs || this.violations.length > 0)
        throw new Error(
          `not within ${limitMs} ms: ${what}\n${this.violations.join('\n')}\n${this.picture()}\n${this.notes.slice(-30).join('\n')}`,
        );
      this.run(limitMs > 5_000 ? 20 : 5);
    }
    return this.time - start;
  }

  // --- network ----------------------------------------------------------------------------------------------------

  cut(from: string, to: string): void {
    this.network.cut(from, to);
  }

  heal(name?: string): void {
    this.network.heal(name);
  }

  isolate(name: string): void {
    this.network.isolate(name);
  }

  isolateFromApi(name: string): void {
    this.network.isolateFromApi(name);
  }

  reachable(from: string, to: string): boolean {
    return this.network.reachable(from, to);
  }

  // --- the cluster ------------------------------------------------------------------------------------------------

  pods(): PodFact[] {
    return [...this.instances.values()].filter((each) => each.podExists).map((each) => each.podFact());
  }

  podsChanged(): void {
    for (const instance of this.instances.values()) instance.podsChanged();
  }

  settingsChanged(changed: Partial<Settings>): void {
    Object.assign(this.settings, changed);
    this.watchdog.wishesChanged();
    for (const instance of this.instances.values()) instance.settingsChanged();
  }

  newRecord(): number {
    return this.#nextRecord++;
  }

  newName(stem: string): string {
    return `${stem}${this.#nextName++}`;
  }

  primaries(): SimInstance[] {
    return [...this.instances.values()].filter((each) => each.database.isPrimary());
  }

  leader(): SimInstance | undefined {
    const record = this.api.lease?.record;
    return record?.holder && record.leader ? this.get(record.leader.name) : undefined;
  }

  /** One primary, which leads, and all others stream from it. */
  settled(): boolean {
    const leader = this.leader();
    if (!leader?.database.isPrimary() || leader.state.held === undefined) return false;
    for (const each of this.instances.values()) {
      if (each === leader || each.removed) continue;
      if (!each.database.streamsFrom(leader.name)) return false;
    }
    return true;
  }

  // --- clients ----------------------------------------------------------------------------------------------------

  /** Clients write wherever a primary runs, for as long as it does: sessions stay open after -rw points elsewhere. */
  startWriting(fastest: number, slowest: number): void {
    const write = () => {
      for (const instance of this.instances.values()) instance.database.write();
      this.after(this.between(fastest, slowest), write);
    };
    write();
  }

  acknowledged(by: SimInstance, record: Wal): void {
    this.watchdog.acknowledged(by, record);
  }

  // --- for people -------------------------------------------------------------------------------------------------

  get violations(): string[] {
    return this.watchdog.violations;
  }

  note(name: string, text: string): void {
    if (!this.quiet) this.notes.push(`${this.time.toFixed(0)} ${name}: ${text}`);
  }

  picture(): string {
    const lines = [...this.instances.values()].map((each) => each.picture());
    return [`lease ${JSON.stringify(this.api.lease)}`, ...lines].join('\n');
  }
}
