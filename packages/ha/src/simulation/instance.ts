/** An instance in the simulated world: the machine, its executor, its container and its pod. */
import type { Action, Event, Job } from '../events.ts';
import { step } from '../machine.ts';
import { instanceState } from '../report.ts';
import { initialState, type State } from '../state.ts';
import type { PeerReport, PodFact } from '../types.ts';
import { SimDatabase } from './database.ts';
import type { World } from './world.ts';

/** How long each job takes, in milliseconds. */
const DURATION: Record<Job['kind'], number> = {
  die: 20,
  stop: 40,
  initialise: 700,
  claim: 2,
  startPrimary: 60,
  startStandby: 70,
  follow: 5,
  setSync: 10,
  promote: 40,
  copy: 400,
  rewind: 300,
  wipe: 20,
  checkpoint: 20,
  cutWal: 40,
};

let uids = 0;

export class SimInstance {
  readonly name: string;
  readonly world: World;
  readonly database: SimDatabase;
  podUID = `uid-${++uids}`;
  podExists = true;
  podDeleting = false;
  containers = 0;
  terminated: string[] = [];
  alive = false;
  frozen = false;
  /** Its peers hear it, the API does not. */
  isolatedFromApi = false;
  exited: number | undefined;
  state!: State;
  situation = '';
  /** Events of an earlier manager never reach a later one. */
  #life = 0;
  #wake = 0;
  #guardAt: number | undefined;
  #jobs = 0;
  /** What would have happened while the manager was frozen. */
  #missed: (() => void)[] = [];

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.database = new SimDatabase(world, this);
  }

  get address(): string {
    return `10.0.0.${this.name.split('-')[1]}`;
  }

  get containerID(): string {
    return `${this.podUID}-${this.containers}`;
  }

  // --- faults and starts ----------------------------------------------------------------------------------------

  startContainer(): void {
    this.containers++;
    this.startManager();
  }

  startManager(): void {
    const life = ++this.#life;
    this.alive = true;
    // A new process is not frozen, and hears nothing of what an earlier one missed.
    this.frozen = false;
    this.#missed = [];
    this.exited = undefined;
    this.#guardAt = undefined;
    this.state = initialState({
      name: this.name,
      podUID: this.podUID,
      identity: `${this.podUID}/${this.world.time}-${life}`,
      address: this.address,
    });
    this.later(this.world.between(50, 150), () => {
      this.feed({ type: 'settings', settings: { ...this.world.settings } });
      this.feed({ type: 'pods', pods: this.world.pods() });
      this.feed({ type: 'self', containerID: this.containerID });
    });
  }

  /** kill -9 of the postmaster. */
  killPostmaster(): void {
    this.database.kill();
    this.later(1, () => this.feed({ type: 'exited', expected: false, reason: 'SIGKILL' }));
  }

  /** kill -9 of everything in the pod; the node says so, and starts the container again after a while. */
  killPod(restartMs: number | undefined = 1_000): void {
    this.#die();
    const ended = this.containerID;
    this.world.after(this.world.between(50, 150), () => {
      this.terminated.push(ended);
      this.world.podsChanged();
    });
    const { podUID } = this;
    if (restartMs === undefined) return;
    this.world.after(restartMs, () => {
      // Meanwhile another pod may have taken the name.
      if (this.podUID === podUID) this.startContainer();
    });
  }

  /** The node stops without a word: nobody says anything about its containers. */
  loseNode(): void {
    this.#die();
    this.world.isolate(this.name);
  }

  /** The node is there again, with the same pod. */
  returnNode(): void {
    this.world.heal(this.name);
    this.terminated.push(this.containerID);
    this.startContainer();
    this.world.podsChanged();
  }

  /** A frozen manager goes on, a long time later for it: what was due is due now. */
  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    for (const run of this.#missed.splice(0)) run();
    this.feed({ type: 'tick' });
  }

  /** The pod is gone; another takes its name and its volume. */
  newPod(): void {
    this.podUID = `uid-${++uids}`;
    this.podDeleting = false;
    this.containers = 0;
    this.terminated = [];
    this.startContainer();
    this.world.podsChanged();
  }

  emptyVolume(): void {
    this.database.data = 'empty';
  }

  terminate(): void {
    this.podDeleting = true;
    this.world.podsChanged();
    this.feed({ type: 'terminate', graceMs: 30_000 });
  }

  #die(): void {
    this.#life++;
    this.#missed = [];
    this.frozen = false;
    this.alive = false;
    this.#guardAt = undefined;
    this.database.kill();
  }

  // --- the machine ------------------------------------------------------------------------------------------------

  feed(event: Event): void {
    if (!this.alive || this.frozen || this.exited !== undefined) return;
    const result = step(this.state, event, this.world.clocks(), this.world.rules);
    this.state = result.state;
    if (result.situation && result.situation !== this.situation) {
      this.situation = result.situation;
      this.world.note(this.name, `[${event.type}] ${result.situation}`);
    }
    for (const action of result.actions) this.#act(action);
    const wake = ++this.#wake;
    this.later(Math.max(result.wakeAt - this.world.time, 1), () => {
      if (wake === this.#wake) this.feed({ type: 'tick' });
    });
  }

  later(ms: number, run: () => void): void {
    const life = this.#life;
    this.world.after(ms, () => {
      if (life !== this.#life) return;
      if (this.frozen) this.#missed.push(run);
      else run();
    });
  }

  leaseChanged(version: string): void {
    if (this.world.apiReachable(this.name))
      this.later(this.world.between(1, 5), () => this.feed({ type: 'leaseHint', version }));
  }

  podsChanged(): void {
    if (this.world.apiReachable(this.name))
      this.later(this.world.between(1, 10), () => this.feed({ type: 'pods', pods: this.world.pods() }));
  }

  podFact(): PodFact {
    const { name: instance, podUID: uid, address, podDeleting: deleting } = this;
    return { instance, uid, address, deleting, leaving: false, terminated: [...this.terminated] };
  }

  report(): PeerReport {
    const view = this.database.view();
    const running = view.process === 'running';
    return {
      name: this.name,
      podUID: this.podUID,
      identity: this.state.self.identity,
      role: this.state.deathNeeded ? 'primary' : running ? (view.inRecovery ? 'replica' : 'primary') : 'none',
      state: instanceState(this.state),
      leader: this.state.held !== undefined,
      streaming: view.streaming,
      dataEmpty: view.data !== 'present',
      ...(view.systemID ? { systemID: view.systemID } : {}),
      ...(view.incarnation ? { incarnation: view.incarnation } : {}),
      ...(view.timeline ? { timeline: view.timeline } : {}),
      ...(view.currentLsn ? { currentLsn: view.currentLsn } : {}),
      ...(running && view.inRecovery && view.replayedLsn ? { receivedLsn: view.replayedLsn } : {}),
    };
  }

  picture(): string {
    const { held, waiting, error, job } = this.state;
    const { process, inRecovery, wal, timeline, connected, upstream, applicationName, data, syncNames } =
      this.database;
    return `${this.name} ${this.situation} ${JSON.stringify({ held: held?.epoch, waiting: waiting?.what, error, job: job?.job.kind, process, inRecovery, wal: wal.length, timeline, connected, upstream: upstream?.name, applicationName, data, syncNames })}`;
  }

  // --- the executor -----------------------------------------------------------------------------------------------

  #act(action: Action): void {
    const { world } = this;
    const sentAt = world.clocks();
    switch (action.type) {
      case 'readLease':
        this.#call(
          action.timeoutMs,
          () => world.readLease(),
          (outcome) =>
            this.feed({
              type: 'leaseRead',
              sentAt,
              outcome: outcome ?? { kind: 'failed', message: 'timeout' },
            }),
        );
        return;
      case 'writeLease':
        this.#call(
          action.timeoutMs,
          () => world.writeLease(action.version, action.record),
          (outcome) =>
            this.feed({
              type: 'leaseWritten',
              id: action.id,
              sentAt,
              outcome: outcome ?? { kind: 'unknown', message: 'timeout' },
            }),
        );
        return;
      case 'askPeers':
        this.#askPeers(action.names, action.timeoutMs);
        return;
      case 'observe':
        this.later(world.between(1, 4), () =>
          this.feed({ type: 'observed', startedAt: sentAt, view: this.database.view() }),
        );
        return;
      case 'job':
        this.#job(action.id, action.job);
        return;
      case 'aside':
        this.later(20, () => this.feed({ type: 'asideDone', kind: action.aside.kind, ok: true }));
        return;
      case 'route':
        this.#route(action.epoch);
        return;
      case 'beat':
        this.#beat(action.deadline);
        return;
      case 'note':
        world.note(this.name, `${action.reason}: ${action.message}`);
        return;
      case 'exit':
        world.note(this.name, `exit ${action.code}: ${action.why}`);
        this.exited = action.code;
        this.database.kill(this.database.clean);
        return;
    }
  }

  /** A call to the API: there and back, or nothing until the time is up. */
  #call<T>(timeoutMs: number, serve: () => T, answer: (result: T | undefined) => void): void {
    const { world } = this;
    this.later(world.between(1, 4), () => {
      const result = world.apiReachable(this.name) ? serve() : undefined;
      this.later(result === undefined ? timeoutMs : world.between(1, 4), () => answer(result));
    });
  }

  #askPeers(names: string[], timeoutMs: number): void {
    const { world } = this;
    const askedAt = world.clocks();
    const answers: Record<string, PeerReport | null> = {};
    let slowest = 2;
    for (const name of names) {
      answers[name] = null;
      const peer = world.instances.get(name);
      if (!peer) continue;
      if (!world.reachable(this.name, name) || peer.frozen) slowest = timeoutMs;
      else
        this.later(world.between(1, 4), () => {
          if (peer.alive && peer.exited === undefined) answers[name] = peer.report();
        });
    }
    this.later(slowest + 4, () => this.feed({ type: 'peers', askedAt, answers }));
  }

  #route(epoch: number): void {
    this.#call(
      1_000,
      () => {
        if (this.world.rw.epoch > epoch) return 'refused' as const;
        this.world.rw = { instance: this.name, epoch };
        return 'ok' as const;
      },
      (outcome) => this.feed({ type: 'routed', epoch, outcome: outcome ?? 'failed' }),
    );
  }

  #beat(deadline: { since: { mono: number }; afterMs: number } | null): void {
    this.#guardAt = deadline === null ? undefined : deadline.since.mono + deadline.afterMs;
    const at = this.#guardAt;
    if (at === undefined) return;
    const life = this.#life;
    this.world.after(at - this.world.time, () => {
      if (life !== this.#life || this.#guardAt !== at) return;
      this.world.note(this.name, 'the guard kills');
      this.#die();
      this.frozen = false;
      this.world.after(100, () => this.startManager());
    });
  }

  #job(id: number, job: Job): void {
    const serial = ++this.#jobs;
    this.world.note(this.name, `job ${job.kind}`);
    this.later(DURATION[job.kind] * this.world.between(0.8, 1.2), () => {
      if (serial !== this.#jobs) return;
      try {
        this.#carryOut(job);
        const timeline = this.database.timeline;
        this.feed({ type: 'jobDone', id, timeline });
      } catch (error) {
        this.feed({ type: 'jobFailed', id, code: 'Failed', message: (error as Error).message });
      }
    });
  }

  #carryOut(job: Job): void {
    const { database, world } = this;
    switch (job.kind) {
      case 'die':
        if (database.process !== 'stopped') database.kill();
        return;
      case 'stop':
        database.stop();
        return;
      case 'initialise':
        database.initialise();
        return;
      case 'claim':
        database.data = 'present';
        return;
      case 'startPrimary':
        database.syncNames = job.syncNames;
        database.start(true);
        world.checkNewPrimary(this);
        return;
      case 'startStandby':
      case 'follow':
        if (job.kind === 'startStandby') database.start(false);
        database.upstream = job.upstream ?? undefined;
        database.applicationName = job.applicationName;
        database.connected = false;
        return;
      case 'setSync':
        database.syncNames = job.names;
        return;
      case 'promote':
        if (database.process !== 'running') throw new Error('not running');
        database.syncNames = job.syncNames;
        database.promote();
        world.checkNewPrimary(this);
        return;
      case 'copy':
        database.copyOf(this.#source(job.source.name));
        return;
      case 'rewind':
        world.note(this.name, `discards ${database.rewindTo(this.#source(job.source.name))}`);
        return;
      case 'wipe':
        database.wipe();
        return;
      case 'checkpoint':
      case 'cutWal':
        return;
    }
  }

  #source(name: string): SimDatabase {
    const source = this.world.get(name);
    if (!source.database.isPrimary() || !this.world.reachable(this.name, name)) throw new Error('no source');
    return source.database;
  }
}
