/** The Kubernetes API in the simulated world: one Lease, and an operator that makes it anew when it is gone. */
import type { LeaseReadOutcome, LeaseWriteOutcome } from '../events.ts';
import type { LeaseRecord } from '../types.ts';
import type { World } from './world.ts';

export class SimApi {
  up = true;
  /** The operator makes a lost Lease anew, and keeps the status of the Cluster. */
  operatorUp = true;
  /** Milliseconds that a call takes on its way there at most, and back. */
  slowest = 3;
  /** The part of answers that are lost, although what was asked for was done. */
  lostAnswers = 0;
  lease: { version: number; record: LeaseRecord } | null = {
    version: 1,
    record: { holder: null, epoch: 0, designated: 'demo-1', members: [], rules: [] },
  };
  readonly #world: World;
  #version = 1;
  /** What Cluster status says. */
  #floor = 0;

  constructor(world: World) {
    this.#world = world;
  }

  reachable(from: string): boolean {
    return this.up && this.#world.reachable(from, 'api');
  }

  answers(to: string): boolean {
    const world = this.#world;
    return (
      this.up && world.reachable('api', to) && (this.lostAnswers === 0 || world.random() >= this.lostAnswers)
    );
  }

  delay(): number {
    return this.#world.between(1, this.slowest);
  }

  read(): LeaseReadOutcome {
    if (!this.lease) return { kind: 'missing' };
    // Records are never changed in place, neither here nor by the machine.
    return { kind: 'found', version: String(this.lease.version), record: this.lease.record };
  }

  write(by: string, version: string, record: LeaseRecord): LeaseWriteOutcome {
    if (!this.lease || String(this.lease.version) !== version) return { kind: 'conflict' };
    const before = this.lease.record;
    this.#put(record);
    this.#world.watchdog.leaseWritten(by, before, record);
    return { kind: 'ok', version: String(this.lease.version), record };
  }

  /** The store comes back from a backup: an older record, with a new version. */
  restoreLease(record: LeaseRecord): void {
    this.#put(record);
  }

  #put(record: LeaseRecord): void {
    this.lease = { version: ++this.#version, record };
    const { version } = this.lease;
    for (const instance of this.#world.instances.values()) instance.leaseChanged(String(version), record);
    this.#remember(record);
  }

  /** The operator sees the epoch and the system identifier after a while, if it is there. */
  #remember(record: LeaseRecord): void {
    const world = this.#world;
    if (record.epoch === this.#floor && world.settings.systemID === record.systemID) return;
    world.after(world.between(100, 1_000), () => {
      if (!this.operatorUp || !this.up) return;
      this.#floor = Math.max(this.#floor, record.epoch);
      const systemID = world.settings.systemID ?? record.systemID;
      if (this.#floor !== world.settings.epochFloor || systemID !== world.settings.systemID)
        world.settingsChanged({ epochFloor: this.#floor, ...(systemID ? { systemID } : {}) });
    });
  }

  /** Somebody deletes the Lease; the operator makes it anew, with what it knows. */
  deleteLease(): void {
    this.lease = null;
    for (const instance of this.#world.instances.values()) instance.leaseChanged(undefined);
    this.#remake();
  }

  #remake(): void {
    const world = this.#world;
    world.after(world.between(200, 2_000), () => {
      if (this.lease) return;
      if (!this.operatorUp || !this.up) {
        this.#remake();
        return;
      }
      const { systemID } = world.settings;
      this.#put({
        holder: null,
        epoch: this.#floor,
        designated: 'demo-1',
        ...(systemID ? { systemID } : {}),
        members: [],
        rules: [],
      });
    });
  }
}
