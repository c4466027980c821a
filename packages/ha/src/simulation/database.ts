/** A database in the simulated world: a chain of records is its WAL, and messages take time. */
import type { View } from '../types.ts';
import { enoughFor, parseSync, type Sync } from './commits.ts';
import type { SimInstance } from './instance.ts';
import { viewOf } from './view.ts';
import { append, commonLength, graft, lengthOf, lsnOf, switchPoint, type Wal } from './wal.ts';
import type { World } from './world.ts';

/** wal_retrieve_retry_interval. */
const RETRY_MS = 100;
/** wal_sender_timeout, wal_receiver_timeout. */
const LINK_TIMEOUT_MS = 5_000;

/** A replication connection, as its two ends see it. */
export interface Link {
  readonly source: SimDatabase;
  readonly standby: SimDatabase;
  readonly name: string;
  /** The standby's end is open. */
  receiver: boolean;
  /** The source's end is open. */
  sender: boolean;
  /** What the standby has confirmed, as the source knows it. */
  confirmed: number;
  /** The standby's WAL is a part of the source's history: it streams. */
  fits: boolean;
  lastContact: number;
  delivering: boolean;
}

export class SimDatabase {
  data: View['data'] = 'empty';
  incarnation: string | undefined;
  systemID: string | undefined;
  wal: Wal | null = null;
  process: View['process'] = 'stopped';
  inRecovery = false;
  /** The control file says primary or standby, and whether it was stopped in order. */
  wasPrimary = false;
  clean = true;
  /** It last ran as a standby, and nobody was told to make it a primary since. */
  #standby = false;
  /** Found out when it ended: somebody did it all the same. */
  byHand = false;
  upstream: { name: string; address: string } | undefined;
  applicationName = '';
  /** Where this timeline began. */
  branch: View['branch'];
  syncNames = '';
  readonly world: World;
  readonly owner: SimInstance;
  #sync: Sync | undefined;
  #link: Link | undefined;
  #senders: Link[] = [];
  /** The WAL receiver has run since the start: PostgreSQL knows how far it received. */
  #received = false;
  #waiting: Wal[] = [];
  /** Attempts to connect that belong to an earlier state are void. */
  #attempt = 0;

  constructor(world: World, owner: SimInstance) {
    this.world = world;
    this.owner = owner;
  }

  get timeline(): number {
    return this.wal === null ? 0 : this.wal.timeline;
  }

  isPrimary(): boolean {
    return this.process === 'running' && !this.inRecovery;
  }

  /** Whether clients are answered now. */
  acts(): boolean {
    return this.isPrimary() && !this.owner.nodeFrozen && !this.owner.databaseFrozen;
  }

  get connected(): boolean {
    return this.#link?.fits === true;
  }

  get attached(): boolean {
    return this.#link !== undefined;
  }

  streamsFrom(name: string): boolean {
    return this.process === 'running' && this.inRecovery && this.connected && this.upstream?.name === name;
  }

  // --- data -------------------------------------------------------------------------------------------------------

  initialise(): void {
    this.data = 'unclaimed';
    this.incarnation = this.world.newName('i');
    this.systemID = this.world.newName(`system-${this.owner.name}-`);
    this.wal = append(null, this.world.newRecord(), 1);
    this.branch = undefined;
    this.wasPrimary = true;
    this.clean = true;
    this.#forget();
  }

  #forget(): void {
    this.#standby = false;
    this.byHand = false;
  }

  copyOf(source: SimDatabase): void {
    this.data = 'present';
    this.incarnation = this.world.newName('i');
    this.systemID = source.systemID;
    this.#take(source);
    this.#forget();
    this.wasPrimary = false;
    this.clean = false;
  }

  rewindTo(source: SimDatabase): number {
    if (this.systemID !== source.systemID) throw new Error('data of another system');
    const discarded = lengthOf(this.wal) - commonLength(this.wal, source.wal);
    this.#take(source);
    this.#forget();
    this.wasPrimary = false;
    return discarded;
  }

  wipe(): void {
    this.data = 'empty';
    this.incarnation = undefined;
    this.systemID = undefined;
    this.wal = null;
    this.branch = undefined;
  }

  // --- the process ------------------------------------------------------------------------------------------------

  start(asPrimary: boolean): void {
    this.process = 'running';
    this.inRecovery = !asPrimary;
    this.wasPrimary = asPrimary;
    if (asPrimary) this.#forget();
    else this.#standby = true;
    this.clean = false;
    this.#received = false;
    this.#waiting = [];
    this.#senders = [];
    this.#disconnect();
  }

  setSync(text: string): void {
    this.syncNames = text;
    this.#sync = parseSync(text);
    this.acknowledge();
  }

  /** As the executor does it. The new timeline bears this number, or the next one if the data are beyond it. */
  promote(timeline: number): void {
    this.#forget();
    this.promoteByHand(timeline);
  }

  /** As somebody else does it. */
  promoteByHand(timeline = 0): void {
    const parent = this.timeline;
    this.#disconnect();
    this.inRecovery = false;
    this.wasPrimary = true;
    this.branch = { parent, start: lsnOf(this.wal) };
    this.#log(this.world.newRecord(), Math.max(timeline, parent + 1));
  }

  follow(upstream: { name: string; address: string } | undefined, applicationName: string): void {
    const same = upstream?.address === this.upstream?.address && applicationName === this.applicationName;
    if (same && this.#link) return;
    this.upstream = upstream;
    this.applicationName = applicationName;
    this.#disconnect();
    this.#connectSoon(2);
  }

  /** A clean stop writes the shutdown checkpoint and sends it to those that are connected. */
  stop(): void {
    if (this.process !== 'running') return;
    if (this.isPrimary()) {
      this.#log(this.world.newRecord(), this.timeline);
      for (const link of this.#senders)
        if (link.receiver && link.fits && this.#reaches(link)) link.standby.#receive(link);
    }
    this.clean = true;
    this.kill(true);
  }

  kill(clean = false): void {
    this.process = 'stopped';
    this.clean = clean;
    if (this.wasPrimary && this.#standby) this.byHand = true;
    this.#waiting = [];
    this.#disconnect();
    for (const link of this.#senders) {
      link.sender = false;
      // The other end hears of it, unless nothing goes through.
      if (this.world.reachable(this.owner.name, link.standby.owner.name) && !this.owner.nodeFrozen)
        link.standby.#lose(link);
    }
    this.#senders = [];
  }

  // --- replication ------------------------------------------------------------------------------------------------

  #log(id: number, timeline: number): void {
    this.wal = append(this.wal, id, timeline);
    for (const link of this.#senders) this.#deliver(link);
  }

  #take(source: SimDatabase): void {
    this.wal = source.wal;
    this.branch = source.branch;
  }

  #reaches(link: Link): boolean {
    const { source, standby } = link;
    return (
      this.world.reachable(source.owner.name, standby.owner.name) &&
      this.world.reachable(standby.owner.name, source.owner.name) &&
      !source.owner.nodeFrozen &&
      !standby.owner.nodeFrozen &&
      !source.owner.databaseFrozen
    );
  }

  #connectSoon(ms: number): void {
    const attempt = ++this.#attempt;
    this.world.after(ms, () => {
      if (attempt === this.#attempt) this.#connect();
    });
  }

  #connect(): void {
    if (this.process !== 'running' || !this.inRecovery || !this.upstream || this.#link) return;
    const { world, owner } = this;
    const source = world.instances.get(this.upstream.name);
    const there =
      source !== undefined &&
      source.address === this.upstream.address &&
      source.database.process === 'running' &&
      !source.nodeFrozen &&
      !source.databaseFrozen &&
      !owner.nodeFrozen &&
      world.reachable(owner.name, source.name) &&
      world.reachable(source.name, owner.name);
    this.#received = true;
    const fits = there ? this.#fits(source.database) : undefined;
    if (!there || fits === undefined) {
      this.#connectSoon(RETRY_MS);
      return;
    }
    const link: Link = {
      source: source.database,
      standby: this,
      name: this.applicationName,
      receiver: true,
      sender: true,
      confirmed: 0,
      fits,
      lastContact: world.time,
      delivering: false,
    };
    this.#link = link;
    source.database.#senders.push(link);
    source.database.#deliver(link);
  }

  /**
   * Whether our WAL fits the source's; false: a WAL sender serves us, but our history has parted beyond the fork;
   * undefined: it refuses.
   */
  #fits(source: SimDatabase): boolean | undefined {
    const mine = lengthOf(this.wal);
    if (this.timeline === source.timeline) return mine <= lengthOf(source.wal) ? true : undefined;
    const fork = switchPoint(source.wal, this.timeline);
    if (fork === undefined) return undefined;
    return mine <= fork;
  }

  #disconnect(): void {
    this.#attempt++;
    const link = this.#link;
    if (!link) return;
    this.#link = undefined;
    link.receiver = false;
    if (this.#reaches(link)) this.world.after(this.world.network.latency(), () => link.source.#drop(link));
  }

  /** The source's end has closed. */
  #lose(link: Link): void {
    if (this.#link !== link) return;
    link.receiver = false;
    this.#link = undefined;
    this.#connectSoon(RETRY_MS);
  }

  #drop(link: Link): void {
    if (!link.sender) return;
    link.sender = false;
    this.#senders = this.#senders.filter((each) => each !== link);
  }

  /** Sends what is missing, and has the answer come back; while nothing goes through, tries again until time is out. */
  #deliver(link: Link): void {
    if (link.delivering || !link.sender) return;
    link.delivering = true;
    const { world } = this;
    world.after(world.network.latency(), () => {
      link.delivering = false;
      if (!this.#reaches(link)) {
        this.#deliverLater(link);
        return;
      }
      link.lastContact = world.time;
      if (!link.receiver || this.process !== 'running' || !link.sender) return;
      if (link.fits) link.standby.#receive(link);
      const flushed = lengthOf(link.standby.wal);
      world.after(world.network.latency(), () => this.#confirm(link, flushed));
      if (link.fits && lengthOf(this.wal) > flushed) this.#deliver(link);
    });
  }

  #deliverLater(link: Link): void {
    const { world } = this;
    if (!link.sender && !link.receiver) return;
    if (world.time - link.lastContact < LINK_TIMEOUT_MS) {
      link.delivering = true;
      world.after(RETRY_MS, () => {
        link.delivering = false;
        this.#deliver(link);
        if (!link.sender) link.standby.#lose(link);
      });
      return;
    }
    this.#drop(link);
    link.standby.#lose(link);
  }

  #receive(link: Link): void {
    const { source } = link;
    if (this.#link !== link || this.process !== 'running' || this.owner.databaseFrozen) return;
    this.wal = graft(this.wal, source.wal);
    this.branch = source.branch;
  }

  #confirm(link: Link, length: number): void {
    if (!link.sender || this.process !== 'running') return;
    if (!this.world.reachable(link.standby.owner.name, this.owner.name)) return;
    link.confirmed = Math.max(link.confirmed, length);
    this.acknowledge();
  }

  // --- commits ----------------------------------------------------------------------------------------------------

  write(): void {
    if (!this.acts()) return;
    this.#log(this.world.newRecord(), this.timeline);
    this.#waiting.push(this.wal!);
    this.acknowledge();
  }

  acknowledge(): void {
    if (this.#waiting.length === 0 || !this.acts()) return;
    const enough = enoughFor(this.#sync, this.#senders);
    // They wait in the order in which they were written.
    let count = 0;
    while (count < this.#waiting.length && this.#waiting[count]!.length <= enough) count++;
    for (const record of this.#waiting.splice(0, count)) this.world.acknowledged(this.owner, record);
  }

  // --- what can be seen -------------------------------------------------------------------------------------------

  view(): View {
    return viewOf(this, this.#senders, this.#link !== undefined, this.#received);
  }
}
