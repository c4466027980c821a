/** A database in the simulated world: a list of records is its WAL, and time passes for what it does. */
import { formatLsn } from '../lsn.ts';
import type { ReplicationRow, View } from '../types.ts';
import type { SimInstance } from './instance.ts';
import type { World } from './world.ts';

/** Bytes a record takes: positions are multiples of it. */
const RECORD = 64;
/** A shutdown checkpoint is a record of its own, with a number below zero. */
const CHECKPOINT_RECORD = -1;

let incarnations = 0;

export class SimDatabase {
  data: View['data'] = 'empty';
  incarnation: string | undefined;
  systemID: string | undefined;
  timeline = 0;
  /** Records by their ids. */
  wal: number[] = [];
  process: View['process'] = 'stopped';
  inRecovery = false;
  /** The control file says primary or standby, and whether it was stopped in order. */
  wasPrimary = false;
  clean = true;
  upstream: { name: string; address: string } | undefined;
  applicationName = '';
  connected = false;
  /** A walsender serves it, although its history may have parted: then it confirms what nobody sent it. */
  attached = false;
  /** Where this timeline began. */
  branch: View['branch'];
  /** The WAL receiver has run since the start. */
  received = false;
  syncNames = '';
  readonly #world: World;
  readonly #owner: SimInstance;
  #waiting: { id: number; at: number }[] = [];

  constructor(world: World, owner: SimInstance) {
    this.#world = world;
    this.#owner = owner;
    this.#pump();
  }

  isPrimary(): boolean {
    return this.process === 'running' && !this.inRecovery;
  }

  /** Whether a commit could return at once: asynchronous, or with enough standbys. */
  couldAcknowledge(): boolean {
    return this.isPrimary() && this.#satisfied(this.wal.length);
  }

  streamsFrom(name: string): boolean {
    return this.process === 'running' && this.inRecovery && this.connected && this.upstream?.name === name;
  }

  initialise(): void {
    this.data = 'unclaimed';
    this.incarnation = `i${++incarnations}`;
    this.systemID = `system-${this.#owner.name}-${incarnations}`;
    this.timeline = 1;
    this.wal = [this.#world.newRecord()];
    this.wasPrimary = true;
    this.clean = true;
  }

  copyOf(source: SimDatabase): void {
    this.data = 'present';
    this.incarnation = `i${++incarnations}`;
    this.systemID = source.systemID;
    this.timeline = source.timeline;
    this.branch = source.branch;
    this.wal = [...source.wal];
    this.wasPrimary = false;
    this.clean = false;
  }

  rewindTo(source: SimDatabase): number {
    const common = commonLength(this.wal, source.wal);
    const discarded = this.wal.length - common;
    this.wal = [...source.wal];
    this.timeline = source.timeline;
    this.branch = source.branch;
    this.wasPrimary = false;
    return discarded;
  }

  wipe(): void {
    this.data = 'empty';
    this.incarnation = undefined;
    this.systemID = undefined;
    this.wal = [];
    this.timeline = 0;
  }

  start(asPrimary: boolean): void {
    this.process = 'running';
    this.inRecovery = !asPrimary;
    this.wasPrimary = asPrimary;
    this.clean = false;
    this.received = false;
    this.connected = false;
    this.attached = false;
    this.#waiting = [];
  }

  promote(): void {
    this.inRecovery = false;
    this.wasPrimary = true;
    this.branch = { parent: this.timeline, start: this.#lsn() };
    this.timeline += 1;
    this.wal.push(this.#world.newRecord());
    this.connected = false;
    this.attached = false;
  }

  /** A clean stop writes the shutdown checkpoint and sends it to those that are connected. */
  stop(): void {
    if (this.process !== 'running') return;
    if (this.isPrimary()) {
      this.wal.push(CHECKPOINT_RECORD * this.#world.newRecord());
      for (const standby of this.#standbys()) standby.#receive(this);
    }
    this.clean = true;
    this.kill(true);
  }

  kill(clean = false): void {
    this.process = 'stopped';
    this.clean = clean;
    this.connected = false;
    this.attached = false;
    this.#waiting = [];
  }

  write(): void {
    if (!this.isPrimary() || this.#owner.frozen) return;
    const id = this.#world.newRecord();
    this.wal.push(id);
    this.#waiting.push({ id, at: this.wal.length });
    this.acknowledge();
  }

  acknowledge(): void {
    if (!this.isPrimary()) return;
    this.#waiting = this.#waiting.filter(({ id, at }) => {
      if (!this.#satisfied(at)) return true;
      this.#world.acked.push({ id, at: this.#world.time, by: this.#owner.name });
      return false;
    });
  }

  #satisfied(length: number): boolean {
    const match = /^(ANY|FIRST) (\d+) \((.*)\)$/.exec(this.syncNames);
    if (!match) return true;
    const names = match[3]!.split(', ').map((name) => name.replaceAll('"', ''));
    const there = this.#standbys().filter(
      (standby) => names.includes(standby.applicationName) && standby.wal.length >= length,
    );
    return there.length >= Number(match[2]);
  }

  #standbys(): SimDatabase[] {
    return [...this.#world.instances.values()]
      .map((each) => each.database)
      .filter((each) => each.attached && each.upstream?.name === this.#owner.name);
  }

  /** Every few milliseconds: connect, receive, acknowledge. */
  #pump(): void {
    this.#world.after(this.#world.between(5, 15), () => {
      if (this.process === 'running' && this.inRecovery && !this.#owner.frozen) this.#follow();
      this.acknowledge();
      this.#pump();
    });
  }

  #follow(): void {
    if (!this.upstream) {
      this.connected = false;
      this.attached = false;
      return;
    }
    this.received = true;
    const source = this.#world.instances.get(this.upstream.name);
    const there =
      source !== undefined &&
      source.database.process === 'running' &&
      !source.frozen &&
      this.#world.reachable(this.#owner.name, source.name) &&
      source.address === this.upstream.address;
    // Our WAL must be a part of the source's history, on a timeline not above its own.
    const fits = there && commonLength(this.wal, source.database.wal) === this.wal.length;
    this.attached = there;
    this.connected = fits;
    if (!there) return;
    this.#receive(source.database);
    source.database.acknowledge();
  }

  #receive(source: SimDatabase): void {
    if (commonLength(this.wal, source.wal) !== this.wal.length) return;
    this.wal = [...source.wal];
    this.timeline = source.timeline;
    this.branch = source.branch;
  }

  #lsn(): string {
    return formatLsn(BigInt(this.wal.length * RECORD));
  }

  view(): View {
    const running = this.process === 'running';
    const standby = running && this.inRecovery;
    return {
      data: this.data,
      ...(this.incarnation ? { incarnation: this.incarnation } : {}),
      ...(this.systemID ? { systemID: this.systemID, timeline: this.timeline } : {}),
      ...(running || this.data === 'empty'
        ? {}
        : {
            controlState: this.#controlState(),
            cleanShutdown: this.clean,
            // The checkpoint's record begins before its end.
            checkpointLsn: formatLsn(BigInt(this.wal.length * RECORD - (this.wasPrimary ? RECORD / 2 : 0))),
          }),
      process: this.process,
      sqlReachable: running,
      ...(running ? { inRecovery: this.inRecovery } : {}),
      ...(running && !this.inRecovery
        ? { currentLsn: this.#lsn(), ...(this.branch ? { branch: this.branch } : {}) }
        : {}),
      ...(standby && this.received ? { receivedLsn: this.#lsn() } : {}),
      ...(standby ? { replayedLsn: this.#lsn(), replayedAll: true } : {}),
      streaming: standby && this.connected,
      receiverRunning: standby && this.connected,
      replication: running && !this.inRecovery ? this.#standbys().map((each) => each.#row()) : [],
      syncNames: this.syncNames,
    };
  }

  #controlState(): string {
    if (this.wasPrimary) return this.clean ? 'shut down' : 'in production';
    return this.clean ? 'shut down in recovery' : 'in archive recovery';
  }

  #row(): ReplicationRow {
    return { name: this.applicationName, state: 'streaming', syncState: 'quorum', flushLsn: this.#lsn() };
  }
}

function commonLength(a: number[], b: number[]): number {
  const length = Math.min(a.length, b.length);
  // Histories that differ stay different: the last common record tells, but forks have to be looked for.
  if (length === 0 || a[length - 1] === b[length - 1]) return length;
  let n = 0;
  while (n < length && a[n] === b[n]) n++;
  return n;
}
