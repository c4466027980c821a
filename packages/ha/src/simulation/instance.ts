/** An instance in the simulated world: the machine, its container and its pod. Everything it does: executor.ts. */
import type { Event } from '../events.ts';
import { advance, step } from '../machine.ts';
import { isPromotedByHand } from '../positions.ts';
import { electionReport, instanceState } from '../report.ts';
import { type GrantNotes, initialState, type State } from '../state.ts';
import type {
  GrantAnswer,
  LeaseRecord,
  LeaseState,
  PeerReport,
  PodFact,
  PromiseAnswer,
  View,
} from '../types.ts';
import { SimClocks } from './clocks.ts';
import { SimDatabase } from './database.ts';
import { Executor } from './executor.ts';
import { Watches } from './watches.ts';
import type { World } from './world.ts';

export class SimInstance {
  readonly name: string;
  readonly world: World;
  readonly database: SimDatabase;
  readonly clocks: SimClocks;
  podUID: string;
  podExists = true;
  podDeleting = false;
  leaving = false;
  /** Gone for good, by scale-in. */
  removed = false;
  containers = 0;
  terminated: string[] = [];
  alive = false;
  /** The manager alone stands still. */
  frozen = false;
  /** Everything on the node stands still: manager, database, guard. */
  nodeFrozen = false;
  /** PostgreSQL alone stands still. */
  databaseFrozen = false;
  thawedAt = Number.NEGATIVE_INFINITY;
  exited: number | undefined;
  /** The note of the last promise, on the volume. */
  promiseNote: LeaseState | undefined;
  /** The notes of grants: kept as long as the pod, and as the node is not started anew. */
  grantNotes: GrantNotes | undefined;
  state!: State;
  situation = '';
  readonly #executor: Executor;
  /** Events of an earlier manager never reach a later one. */
  #life = 0;
  /** When the machine wants to be asked again at the latest, and when the next alarm is due. */
  #wakeAt = 0;
  #alarmAt = Number.POSITIVE_INFINITY;
  #guardAt: number | undefined;
  /** What would have happened while it stood still. */
  #missed: (() => void)[] = [];
  readonly #watches: Watches;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.podUID = world.newName('uid-');
    this.database = new SimDatabase(world, this);
    this.clocks = new SimClocks(world);
    this.#executor = new Executor(this);
    this.#watches = new Watches(this);
  }

  get address(): string {
    return `10.0.0.${this.name.split('-')[1]}`;
  }

  get containerID(): string {
    return `${this.podUID}-${this.containers}`;
  }

  get standsStill(): boolean {
    return this.frozen || this.nodeFrozen;
  }

  /** A manager that answers. */
  get answers(): boolean {
    return this.alive && !this.standsStill && this.exited === undefined;
  }

  // --- starts and ends --------------------------------------------------------------------------------------------

  startContainer(): void {
    this.containers++;
    this.startManager();
  }

  startManager(): void {
    const life = ++this.#life;
    this.alive = true;
    // A new process is not frozen, and hears nothing of what an earlier one missed.
    this.frozen = false;
    this.databaseFrozen = false;
    this.#missed = [];
    this.#alarmAt = Number.POSITIVE_INFINITY;
    this.exited = undefined;
    this.#guardAt = undefined;
    const { name, podUID, address } = this;
    const identity = `${podUID}/${life}`;
    this.grantNotes ??= { since: this.clocks.now() };
    this.state = initialState({ name, podUID, identity, address }, this.promiseNote, this.grantNotes);
    this.#watches.begin();
  }

  /** What a manager does not do soon after its start, it does from now on. */
  hasRunForLong(): void {
    const { mono, wall } = this.clocks.now();
    const since = { mono: mono - 60_000, wall: wall - 60_000 };
    this.grantNotes = { ...this.grantNotes, since };
    this.state.grantsSince = since;
  }

  /** kill -9 of the postmaster. */
  killPostmaster(): void {
    this.database.kill();
    this.later(1, () => this.feed({ type: 'exited', expected: false, reason: 'SIGKILL' }));
  }

  /** kill -9 of everything in the pod; the node says so, and starts the container again after a while. */
  killPod(restartMs: number | undefined = 1_000): void {
    this.die();
    const ended = this.containerID;
    this.world.after(this.world.between(50, 150), () => {
      this.terminated = [...this.terminated, ended];
      this.world.podsChanged();
    });
    const { podUID } = this;
    if (restartMs === undefined) return;
    this.world.after(restartMs, () => {
      // Meanwhile another pod may have taken the name, or the node may be gone.
      if (this.podUID === podUID && !this.alive && this.podExists) this.startContainer();
    });
  }

  /** The node stops without a word: nobody says anything about its containers. */
  loseNode(): void {
    this.die();
    this.world.isolate(this.name);
  }

  /** The node is there again, with the same pod. */
  returnNode(): void {
    this.world.heal(this.name);
    if (this.alive || !this.podExists) return;
    this.grantNotes = undefined;
    this.terminated = [...this.terminated, this.containerID];
    this.startContainer();
    this.world.podsChanged();
  }

  /** The pod is gone; another takes its name and its volume. */
  newPod(): void {
    this.podUID = this.world.newName('uid-');
    this.grantNotes = undefined;
    this.podExists = true;
    this.podDeleting = false;
    this.containers = 0;
    this.terminated = [];
    this.startContainer();
    this.world.podsChanged();
  }

  /** The volume is lost: the files are gone, the note of a promise with them. */
  emptyVolume(): void {
    this.database.data = 'empty';
    this.promiseNote = undefined;
  }

  terminate(): void {
    this.podDeleting = true;
    this.world.podsChanged();
    this.feed({ type: 'terminate', graceMs: 30_000 });
  }

  die(): void {
    this.#life++;
    this.#missed = [];
    this.frozen = false;
    this.nodeFrozen = false;
    this.databaseFrozen = false;
    this.alive = false;
    this.#guardAt = undefined;
    this.database.kill();
    this.world.watchdog.disturbed();
  }

  freeze(what: 'frozen' | 'nodeFrozen' | 'databaseFrozen'): void {
    this[what] = true;
    this.world.watchdog.disturbed();
  }

  /** It goes on, a long time later for it: what was due is due now. The guard looks at the clock first. */
  thaw(): void {
    const node = this.nodeFrozen;
    this.frozen = false;
    this.nodeFrozen = false;
    this.databaseFrozen = false;
    this.thawedAt = this.world.time;
    this.world.watchdog.disturbed();
    if (node && this.#guardAt !== undefined && this.world.time >= this.#guardAt) {
      this.world.after(this.world.between(1, 20), () => this.#guardStrikes(this.#guardAt));
    }
    const missed = this.#missed;
    this.#missed = [];
    this.later(this.world.between(1, 30), () => {
      for (const run of missed) run();
      this.feed({ type: 'tick' });
    });
  }

  // --- the machine ------------------------------------------------------------------------------------------------

  feed(event: Event): void {
    if (!this.answers) return;
    const { world } = this;
    const now = this.clocks.now();
    world.watchdog.steps++;
    const result = world.pure
      ? step(frozenAll(this.state), frozenAll(event), now, world.rules)
      : advance(this.state, event, now, world.rules);
    this.state = result.state;
    if (!world.quiet && result.situation && result.situation !== this.situation) {
      this.situation = result.situation;
      world.note(this.name, `[${event.type}] ${result.situation}`);
    }
    for (const action of result.actions) this.#executor.act(action, now);
    this.#wakeUp(Math.max(this.clocks.toWorld(result.wakeAt - now.mono), 1));
  }

  #wakeUp(ms: number): void {
    this.#wakeAt = this.world.time + ms;
    if (this.#alarmAt > this.#wakeAt) this.#alarm();
  }

  /** One alarm at a time; one that comes too early, because more has happened since it was set, is set again. */
  #alarm(): void {
    const at = this.#wakeAt;
    this.#alarmAt = at;
    this.later(at - this.world.time, () => {
      if (this.#alarmAt !== at) return;
      if (this.world.time < this.#wakeAt) {
        this.#alarm();
        return;
      }
      this.#alarmAt = Number.POSITIVE_INFINITY;
      this.feed({ type: 'tick' });
    });
  }

  later(ms: number, run: () => void): void {
    const life = this.#life;
    this.world.after(ms, () => {
      if (life !== this.#life) return;
      if (this.standsStill) this.#missed.push(run);
      else run();
    });
  }

  settingsChanged(): void {
    this.#watches.settingsChanged();
  }

  leaseChanged(version: string | undefined, record?: LeaseRecord): void {
    this.#watches.leaseChanged(version, record);
  }

  podsChanged(): void {
    this.#watches.podsChanged();
  }

  podFact(): PodFact {
    const { name: instance, podUID: uid, address, podDeleting: deleting, leaving, terminated } = this;
    return { instance, uid, address, deleting, leaving, terminated };
  }

  report(): PeerReport {
    const view = this.database.view();
    const running = view.process === 'running';
    const { timelineSeen } = this.state;
    const known = timelineSeen?.incarnation === view.incarnation ? (timelineSeen?.timeline ?? 0) : 0;
    return {
      name: this.name,
      podUID: this.podUID,
      identity: this.state.self.identity,
      role: this.#role(view),
      state: instanceState(this.state),
      leader: this.state.held !== undefined,
      streaming: view.streaming,
      dataEmpty: view.data !== 'present',
      ...(view.systemID ? { systemID: view.systemID } : {}),
      ...(view.incarnation ? { incarnation: view.incarnation } : {}),
      ...(view.timeline ? { timeline: Math.max(view.timeline, known) } : {}),
      ...(view.currentLsn ? { currentLsn: view.currentLsn } : {}),
      ...(running && view.inRecovery && view.replayedLsn && !isPromotedByHand(this.state)
        ? { receivedLsn: view.replayedLsn }
        : {}),
      ...electionReport(this.state, this.clocks.now()),
    };
  }

  #role({ process, inRecovery }: View): PeerReport['role'] {
    if (this.state.deathNeeded) return 'primary';
    if (process !== 'running') return 'none';
    if (inRecovery === undefined) return this.state.primaryMaybe ? 'primary' : 'none';
    return inRecovery ? 'replica' : 'primary';
  }

  grantFor(leader: string, epoch: number, answer: (answer: GrantAnswer) => void): void {
    this.#executor.grantFor(leader, epoch, answer);
  }

  promiseFor(candidate: string, on: LeaseState, answer: (answer: PromiseAnswer) => void): void {
    this.#executor.promiseFor(candidate, on, answer);
  }

  // --- the guard --------------------------------------------------------------------------------------------------

  /** Kills at this time of the world, unless it is told another before. */
  guardAt(at: number | undefined): void {
    if (this.world.noGuard) return;
    this.#guardAt = at;
    if (at === undefined) return;
    const life = this.#life;
    this.world.after(at - this.world.time, () => {
      if (life === this.#life && !this.nodeFrozen) this.#guardStrikes(at);
    });
  }

  #guardStrikes(at: number | undefined): void {
    if (at === undefined || this.#guardAt !== at) return;
    this.world.note(this.name, 'the guard kills');
    this.die();
    this.later(100, () => this.startManager());
  }

  // --- for people -------------------------------------------------------------------------------------------------

  picture(): string {
    const { held, waiting, error, job, promise, rejoin } = this.state;
    const { process, inRecovery, timeline, connected, upstream, applicationName, data, syncNames, wal } =
      this.database;
    return `${this.name} ${this.situation} ${JSON.stringify({ alive: this.alive, still: this.standsStill, exited: this.exited, held: held?.epoch, waiting: waiting?.what, error, job: job?.job.kind, promise, rejoin, process, inRecovery, wal: wal?.length, timeline, connected, upstream: upstream?.name, applicationName, data, syncNames })}`;
  }
}

/** Whatever is changed in it from now on throws. */
function frozenAll<T>(value: T): T {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const each of Object.values(value)) frozenAll(each);
  return value;
}
