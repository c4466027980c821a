/** What must never happen, looked at whenever something happens that could make it so. */

import { elapsedForHolder } from '../clock.ts';
import { ruleText } from '../commit-rule.ts';
import { comparePositions, parseLsn } from '../lsn.ts';
import { peerPosition } from '../positions.ts';
import type { LeaseRecord } from '../types.ts';
import type { SimInstance } from './instance.ts';
import { isPartOf, type Wal } from './wal.ts';
import type { World } from './world.ts';

/** A thawed node may act until its guard has looked at the clock (docs/failover.md). */
const THAW_MS = 300;
/** What nobody could know of yet is no reason for reproach. */
const CALM_MS = 2_500;
/** A wish may come while a swap is on its way. */
const UNDER_WAY_MS = 100;
/** A fenced leader has this long to hand over and stop. */
const FENCE_MS = 40_000;

interface Acknowledged {
  record: Wal;
  by: SimInstance;
  /** The commit waited for standbys under a required rule: it must never be lost. */
  safe: boolean;
}

export class Watchdog {
  readonly violations: string[] = [];
  /** The latest commits a client was told of: each stands for all that it follows on. */
  #last: Acknowledged[] = [];
  /** When each commit was acknowledged, and by whom; not kept while the world is quiet. */
  readonly acked: { at: number; by: string }[] = [];
  acknowledgements = 0;
  /** How many times a machine was asked. */
  steps = 0;
  takes = 0;
  readonly #world: World;
  /** Who leads by the last promotion or start. */
  #leader: SimInstance | undefined;
  /** The highest epoch that somebody took the Lease with. */
  #epoch = 0;
  #disturbedAt = 0;
  #wishesAt = 0;
  /** Since when the cluster is under maintenance. */
  #maintenanceAt: number | undefined;
  readonly #timelines = new Set<number>([1]);
  #leadsSince = 0;
  #releasedAt = 0;
  #fenced: string[] = [];
  #forced = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Network, processes or clocks were tampered with. */
  disturbed(): void {
    this.#disturbedAt = this.#world.time;
  }

  wishesChanged(): void {
    const { fenced, maintenance } = this.#world.settings;
    this.#maintenanceAt = maintenance ? (this.#maintenanceAt ?? this.#world.time) : undefined;
    if (fenced.join() !== this.#fenced.join()) this.#wishesAt = this.#world.time;
    this.#fenced = fenced;
  }

  noted(_by: SimInstance, reason: string): void {
    // Somebody accepted the loss: what is gone now is not counted.
    if (reason === 'PromotedWithLoss') this.#forced = true;
  }

  /** An instance tells a client that a commit is done. */
  acknowledged(by: SimInstance, record: Wal): void {
    const world = this.#world;
    const safe = this.#waited(by);
    this.acknowledgements++;
    if (!world.quiet) this.acked.push({ at: world.time, by: by.name });
    this.#last = this.#last.filter((each) => each.safe !== safe || !isPartOf(each.record, record));
    this.#last.push({ record, by, safe });
    const leader = this.#leader;
    if (safe && leader && leader !== by && !isPartOf(record, leader.database.wal))
      this.#violation(`${by.name} acknowledges what ${leader.name}, which leads, does not have`);
    for (const other of world.instances.values()) {
      if (other === by || !other.database.acts()) continue;
      const late = world.time - Math.max(this.#leadsSince, other.thawedAt) - 1_000;
      if (by === leader && late > world.settings.guardMs && !world.noGuard)
        this.#violation(`${other.name} still answers clients, long after ${by.name} began to lead`);
      const excused = [by, other].some((each) => world.time - each.thawedAt < THAW_MS);
      // Behind a commit rule of its own the other can acknowledge nothing; alone it could, in the same instant.
      if (!excused && !safe && other.database.syncNames === '')
        this.#violation(`two primaries acknowledge: ${by.name} and ${other.name}`);
    }
    this.#checkFences(by);
  }

  /** Whether its commits wait under a rule that may not degrade. */
  #waited(by: SimInstance): boolean {
    const { syncNames } = by.database;
    const rules = by.state.lease?.record.rules ?? [];
    const alike = rules.filter((rule) => ruleText(rule) === syncNames);
    if (alike.length === 0) return syncNames !== '' && by.state.settings?.sync?.required === true;
    return syncNames !== '' && alike.every((rule) => rule.required);
  }

  #checkFences(by: SimInstance): void {
    const world = this.#world;
    if (this.#fenced.includes(by.name) && world.time - Math.max(this.#wishesAt, this.#disturbedAt) > FENCE_MS)
      this.#violation(`${by.name} is fenced and acknowledges`);
  }

  /** An instance runs as primary from now on. */
  leads(instance: SimInstance, how: 'promoted' | 'started'): void {
    // A leader of before, which does not know it yet, is no later leader: what it says to clients is looked at.
    if ((instance.state.held?.epoch ?? -1) < this.#epoch) return;
    this.#leader = instance;
    this.#leadsSince = this.#world.time;
    const { wal } = instance.database;
    const missing = this.#last.filter(({ record, safe }) => safe && !isPartOf(record, wal));
    if (missing.length > 0 && !this.#forced)
      this.#violation(`${instance.name} ${how} without records that ${missing[0]!.by.name} acknowledged`);
    this.#forced = false;
    this.#last = this.#last.filter(({ record }) => isPartOf(record, wal));
    if (how === 'promoted') {
      const { timeline } = instance.database;
      if (this.#timelines.has(timeline)) this.#violation(`two histories bear timeline ${timeline}`);
      this.#timelines.add(timeline);
    }
  }

  /** An instance begins to make its database a primary. Who learns of a fence only while it does hands over afterwards. */
  beginsToLead(instance: SimInstance): void {
    if (this.#fenced.includes(instance.name) && instance.state.settings?.fenced.includes(instance.name))
      this.#violation(`${instance.name} knows that it is fenced and begins to lead`);
  }

  /** What an instance holds is about to be overwritten, or to begin anew. */
  destroys(instance: SimInstance, how: string): void {
    const others = [...this.#world.instances.values()].filter(
      (each) => each !== instance && !each.removed && each.database.data === 'present',
    );
    const last = this.#last.find(
      ({ record, safe }) =>
        safe &&
        isPartOf(record, instance.database.wal) &&
        !others.some((each) => isPartOf(record, each.database.wal)),
    );
    if (last) this.#violation(`${instance.name} ${how} the last copy of what ${last.by.name} acknowledged`);
    const { systemID } = this.#world.settings;
    const foreign = instance.database.systemID !== systemID && instance.database.data === 'present';
    if (foreign && systemID) this.#violation(`${instance.name} ${how} the data of another database`);
    if (how === 'initialises' && systemID)
      this.#violation(`${instance.name} initialises a cluster that was initialised before`);
  }

  /** A swap has succeeded. */
  leaseWritten(by: string, before: LeaseRecord, after: LeaseRecord): void {
    this.#checkMembers(before, after);
    // Who asks for less gives up the promise for what was acknowledged before, too (docs/failover.md).
    if (!after.rules.some((rule) => rule.required)) for (const each of this.#last) each.safe = false;
    if (after.holder === null && before.holder !== null) this.#releasedAt = this.#world.time;
    if (after.holder === null || after.holder === before.holder) return;
    this.takes++;
    this.#epoch = Math.max(this.#epoch, after.epoch);
    const taker = this.#world.instances.get(by)!;
    if (before.leader?.name === by || this.#forced) return;
    this.#checkDeposed(taker, before);
    if (!this.#calm()) return;
    this.#checkAhead(taker, before, after);
    this.#checkWishes(taker, before);
  }

  /** Nothing was tampered with for a while, and nothing is. */
  #calm(ms = CALM_MS): boolean {
    const { time, network, api } = this.#world;
    const { loss, slowest } = network;
    return time - this.#disturbedAt >= ms && loss === 0 && slowest <= 3 && api.up && api.slowest <= 3;
  }

  #checkAhead(taker: SimInstance, before: LeaseRecord, after: LeaseRecord): void {
    const world = this.#world;
    const mine = peerPosition(taker.report());
    // What nobody has promised to stop receiving can be ahead only of what can be acknowledged no more.
    const cut = before.holder !== null && world.rules.promisesDecide(before);
    for (const peer of world.instances.values()) {
      if (peer === taker || !peer.answers || !this.#couldLead(peer, after)) continue;
      if (cut && peer.state.promise === undefined) continue;
      if (!world.reachable(taker.name, peer.name) || !world.reachable(peer.name, taker.name)) continue;
      if (this.#isOnlyLogged(taker, peer, before)) continue;
      const theirs = peerPosition(peer.report());
      if (mine && theirs && comparePositions(theirs, mine) > 0)
        this.#violation(`${taker.name} takes the Lease although ${peer.name}, which it reaches, is ahead`);
    }
  }

  /**
   * A leader whose database died hands over under a required rule to the furthest of a quorum, by name. What it had
   * logged beyond that was never acknowledged: it may be ahead of the one it named, of nobody else, and by nothing
   * that a client was told of.
   */
  #isOnlyLogged(taker: SimInstance, peer: SimInstance, before: LeaseRecord): boolean {
    return (
      before.handover?.to === taker.name &&
      before.leader?.name === peer.name &&
      before.rules.some((rule) => rule.required) &&
      !this.#last.some(
        ({ record }) => isPartOf(record, peer.database.wal) && !isPartOf(record, taker.database.wal),
      )
    );
  }

  #checkWishes(taker: SimInstance, before: LeaseRecord): void {
    const { settings } = taker.state;
    const mine = peerPosition(taker.report());
    const maintained = this.#world.time - (this.#maintenanceAt ?? this.#world.time) >= UNDER_WAY_MS;
    if (maintained && settings?.maintenance && before.leader && before.handover?.to !== taker.name)
      this.#violation(`${taker.name} takes the Lease under maintenance`);
    const limit = settings?.maximumLagBytes;
    const known = parseLsn(before.position) ?? 0n;
    const required = before.rules.some((rule) => rule.required);
    if (limit !== undefined && mine && known - mine.lsn > limit && !required)
      this.#violation(`${taker.name} takes the Lease although it lags by more than maximumLag`);
    if (!before.handover || before.handover.to === taker.name || this.#world.time - this.#releasedAt > 1_000)
      return;
    const named = this.#world.instances.get(before.handover.to);
    if (named?.answers && named.database.process === 'running' && !this.#fenced.includes(named.name))
      this.#violation(`${taker.name} takes what was handed to ${named.name} a moment ago`);
  }

  /** A leader that works, and that has renewed or been granted to go on a moment ago, is let lead. */
  #checkDeposed(taker: SimInstance, before: LeaseRecord): void {
    const old = [...this.#world.instances.values()].find(
      (each) => each.state.self.identity === before.holder,
    );
    const held = old?.state.held;
    if (!old?.answers || !held || !old.database.acts()) return;
    const now = old.clocks.now();
    const { renewMs, stopMs } = this.#world.settings;
    if (elapsedForHolder(held.t0, now) < renewMs)
      this.#violation(`${taker.name} deposes ${old.name}, which has just renewed`);
    if (held.grantedAt && elapsedForHolder(held.grantedAt, now) < stopMs)
      this.#violation(`${taker.name} deposes ${old.name}, which every member lets go on`);
  }

  #checkMembers(before: LeaseRecord, after: LeaseRecord): void {
    const names = new Set(after.members.map((each) => each.name));
    const dropped = before.members.find(({ name }) => {
      const instance = this.#world.instances.get(name);
      return !names.has(name) && instance && !instance.leaving && !instance.removed;
    });
    if (dropped && this.#calm(0)) this.#violation(`${dropped.name}, which is wanted, is no member any more`);
  }

  #couldLead(peer: SimInstance, record: LeaseRecord): boolean {
    const { database, state, world } = peer;
    return (
      database.process === 'running' &&
      database.inRecovery &&
      !state.terminating &&
      !peer.leaving &&
      !peer.podDeleting &&
      !world.settings.fenced.includes(peer.name) &&
      world.settings.priorities?.[peer.name] !== 0 &&
      record.members.some((each) => each.name === peer.name && each.incarnation === database.incarnation)
    );
  }

  /** Nothing has been tampered with for long, and yet the cluster is not well. */
  notSettled(ms: number): void {
    this.#violation(`not settled ${ms / 1000} s after the last fault`);
  }

  threw(error: unknown): void {
    this.#violation(`the machine threw ${(error as Error).stack?.split('\n').slice(0, 4).join(' ')}`);
  }

  #violation(text: string): void {
    this.violations.push(`${this.#world.time.toFixed(0)}: ${text}`);
  }
}
