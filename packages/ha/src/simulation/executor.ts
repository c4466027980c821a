/** Carries out what the machine of one simulated instance asks for. */
import type { Now } from '../clock.ts';
import { elapsedForHolder } from '../clock.ts';
import type { Action, Event, Job } from '../events.ts';
import type { GrantAnswer, PeerReport, PromiseAnswer } from '../types.ts';
import { Calls } from './calls.ts';
import type { SimDatabase } from './database.ts';
import type { SimInstance } from './instance.ts';

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
  cutWal: 35,
};

type Of<T extends Action['type']> = Extract<Action, { type: T }>;

export class Executor {
  readonly #o: SimInstance;
  readonly #calls: Calls;
  #jobs = 0;
  #asked = 0;
  /** Peers that wait for an answer to a promise they asked for. */
  readonly #callers = new Map<string, (answer: PromiseAnswer) => void>();
  readonly #grants = new Map<string, (answer: GrantAnswer) => void>();

  constructor(instance: SimInstance) {
    this.#o = instance;
    this.#calls = new Calls(instance);
  }

  act(action: Action, sentAt: Now): void {
    const { world } = this.#o;
    switch (action.type) {
      case 'readLease':
        this.#calls.api(
          action.timeoutMs,
          () => world.api.read(),
          (outcome) =>
            this.#feed({
              type: 'leaseRead',
              sentAt,
              outcome: outcome ?? { kind: 'failed', message: 'timeout' },
            }),
        );
        return;
      case 'writeLease':
        this.#writeLease(action, sentAt);
        return;
      case 'askPeers':
        this.#calls.peers<PeerReport>(
          action,
          (peer, answer) => answer(peer.report()),
          (answers) => this.#feed({ type: 'peers', askedAt: sentAt, answers }),
          (name, report) =>
            this.#feed({ type: 'peers', askedAt: sentAt, answers: { [name]: report }, more: true }),
        );
        return;
      case 'askGrants':
        this.#askGrants(action, sentAt);
        return;
      case 'askPromises':
        this.#askPromises(action);
        return;
      case 'answerGrant':
        this.#answerGrant(action, sentAt);
        return;
      case 'answerPromise':
        this.#callers.get(action.id)?.(action.answer);
        return;
      case 'observe':
        this.#o.later(world.between(1, 4), () =>
          this.#feed({ type: 'observed', startedAt: sentAt, view: this.#o.database.view() }),
        );
        return;
      case 'job':
        this.#job(action.id, action.job);
        return;
      case 'aside':
        this.#o.later(20, () => this.#feed({ type: 'asideDone', kind: action.aside.kind, ok: true }));
        return;
      case 'route':
        this.#route(action.epoch);
        return;
      case 'beat':
        this.#beat(action);
        return;
      case 'note':
        world.note(this.#o.name, `${action.reason}: ${action.message}`);
        world.watchdog.noted(this.#o, action.reason);
        return;
      case 'exit':
        world.note(this.#o.name, `exit ${action.code}: ${action.why}`);
        this.#o.exited = action.code;
        this.#o.database.kill(this.#o.database.clean);
        // The guard starts the manager anew, unless the pod is being stopped.
        if (action.code !== 0) this.#o.later(200, () => this.#o.startManager());
        return;
    }
  }

  #feed(event: Event): void {
    this.#o.feed(event);
  }

  #beat({ deadline }: Of<'beat'>): void {
    const { clocks, world } = this.#o;
    if (deadline === null) {
      this.#o.guardAt(undefined);
      return;
    }
    const left = deadline.afterMs - elapsedForHolder(deadline.since, clocks.now());
    this.#o.guardAt(world.time + clocks.toWorld(left));
  }

  // --- calls ------------------------------------------------------------------------------------------------------

  #writeLease(action: Of<'writeLease'>, sentAt: Now): void {
    const { world, name } = this.#o;
    this.#calls.api(
      action.timeoutMs,
      () => world.api.write(name, action.version, action.record),
      (outcome) =>
        this.#feed({
          type: 'leaseWritten',
          id: action.id,
          sentAt,
          outcome: outcome ?? { kind: 'unknown', message: 'timeout' },
        }),
    );
  }

  #askGrants(action: Of<'askGrants'>, askedAt: Now): void {
    const { identity } = this.#o.state.self;
    const { epoch } = action;
    this.#calls.peers<GrantAnswer>(
      action,
      (peer, answer) => peer.grantFor(identity, epoch, answer),
      (answers) => this.#feed({ type: 'grants', askedAt, epoch, answers }),
    );
  }

  #askPromises(action: Of<'askPromises'>): void {
    const { epoch, version } = action;
    const { name } = this.#o;
    this.#calls.peers<PromiseAnswer>(
      action,
      (peer, answer) => peer.promiseFor(name, { epoch, version }, answer),
      (answers) => this.#feed({ type: 'promises', epoch, version, answers }),
    );
  }

  grantFor(leader: string, epoch: number, answer: (answer: GrantAnswer) => void): void {
    const id = `${++this.#asked}`;
    this.#grants.set(id, answer);
    this.#feed({ type: 'grantAsked', id, leader, epoch });
    this.#grants.delete(id);
  }

  /** Noted first: who is started anew must know of it. */
  #answerGrant({ id, answer }: Of<'answerGrant'>, at: Now): void {
    if ('granted' in answer) {
      const { to, epoch } = answer.granted;
      this.#o.grantNotes = { since: at, ...this.#o.grantNotes, last: { to, epoch, at } };
    }
    this.#grants.get(id)?.(answer);
  }

  promiseFor(
    candidate: string,
    { epoch, version }: { epoch: number; version: string },
    answer: (answer: PromiseAnswer) => void,
  ): void {
    const id = `${++this.#asked}`;
    this.#callers.set(id, (result) => {
      this.#callers.delete(id);
      answer(result);
    });
    this.#feed({ type: 'promiseAsked', id, candidate, epoch, version });
  }

  #route(epoch: number): void {
    const { world, name } = this.#o;
    this.#calls.api(
      1_000,
      () => {
        if (world.rw.epoch > epoch) return 'refused' as const;
        world.rw = { instance: name, epoch };
        return 'ok' as const;
      },
      (outcome) => this.#feed({ type: 'routed', epoch, outcome: outcome ?? 'failed' }),
    );
  }

  // --- jobs -------------------------------------------------------------------------------------------------------

  #job(id: number, job: Job): void {
    const serial = ++this.#jobs;
    const { world, database } = this.#o;
    world.note(this.#o.name, `job ${job.kind}`);
    if (job.kind === 'promote' || job.kind === 'startPrimary') world.watchdog.beginsToLead(this.#o);
    const duration = DURATION[job.kind] * world.between(0.8, 1.5);
    if (job.kind === 'stop') this.#exitsEarly(serial, duration);
    this.#o.later(duration, () => {
      if (serial !== this.#jobs) return;
      const began = this.#o.clocks.now();
      try {
        this.#carryOut(job);
        const seen = { startedAt: began, view: database.view() };
        this.#feed({ type: 'jobDone', id, timeline: database.timeline, seen });
      } catch (error) {
        this.#feed({ type: 'jobFailed', id, code: 'Failed', message: (error as Error).message });
      }
    });
  }

  /** The postmaster ends some time before the stop is over. */
  #exitsEarly(serial: number, duration: number): void {
    const { database } = this.#o;
    this.#o.later(duration * 0.7, () => {
      if (serial !== this.#jobs || this.#o.databaseFrozen || database.process !== 'running') return;
      database.stop();
      this.#feed({ type: 'exited', expected: true, reason: 'code 0' });
    });
  }

  #carryOut(job: Job): void {
    const { database, world } = this.#o;
    const stuck = this.#o.databaseFrozen && !['die', 'stop'].includes(job.kind);
    if (stuck) throw new Error('PostgreSQL does not answer');
    switch (job.kind) {
      case 'die':
        this.#o.databaseFrozen = false;
        if (database.process !== 'stopped') database.kill();
        return;
      case 'stop':
        if (this.#o.databaseFrozen) database.kill();
        else database.stop();
        this.#o.databaseFrozen = false;
        return;
      case 'initialise':
        world.watchdog.destroys(this.#o, 'initialises');
        database.initialise();
        return;
      case 'claim':
        database.data = 'present';
        return;
      case 'startPrimary':
        this.#needs('stopped');
        database.setSync(job.syncNames);
        database.start(true);
        world.watchdog.leads(this.#o, 'started');
        return;
      case 'startStandby':
        this.#needs('stopped');
        database.start(false);
        database.follow(job.upstream ?? undefined, job.applicationName);
        return;
      case 'follow':
        this.#needs('running');
        database.follow(job.upstream ?? undefined, job.applicationName);
        return;
      case 'cutWal':
        this.#needs('running');
        database.follow(undefined, '');
        this.#o.promiseNote = job.promise;
        return;
      case 'setSync':
        database.setSync(job.names);
        return;
      case 'promote':
        this.#needs('running');
        database.setSync(job.syncNames);
        database.promote(job.timeline);
        world.watchdog.leads(this.#o, 'promoted');
        return;
      case 'copy':
        database.copyOf(this.#source(job.source.name));
        return;
      case 'rewind':
        world.note(this.#o.name, `discards ${database.rewindTo(this.#source(job.source.name))}`);
        return;
      case 'wipe':
        world.watchdog.destroys(this.#o, 'wipes');
        database.wipe();
        return;
      case 'checkpoint':
        return;
    }
  }

  #needs(process: SimDatabase['process']): void {
    const { database } = this.#o;
    if (database.process !== process) throw new Error(`it is ${database.process}`);
    if (database.data !== 'present') throw new Error(`the data are ${database.data}`);
  }

  #source(name: string): SimDatabase {
    const { world } = this.#o;
    const source = world.instances.get(name);
    if (
      !source?.database.acts() ||
      !world.reachable(this.#o.name, name) ||
      !world.reachable(name, this.#o.name)
    )
      throw new Error('no source');
    return source.database;
  }
}
