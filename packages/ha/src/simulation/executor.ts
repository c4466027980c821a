/** Carries out what the machine of one simulated instance asks for. */
import type { Now } from '../clock.ts';
import { elapsedForHolder } from '../clock.ts';
import type { Action, Event, Job } from '../events.ts';
import type { GrantAnswer, PeerReport, PromiseAnswer } from '../types.ts';
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
  #jobs = 0;
  #asked = 0;
  /** Peers that wait for an answer to a promise they asked for. */
  readonly #callers = new Map<string, (answer: PromiseAnswer) => void>();
  readonly #grants = new Map<string, (answer: GrantAnswer) => void>();

  constructor(instance: SimInstance) {
    this.#o = instance;
  }

  act(action: Action, sentAt: Now): void {
    const { world } = this.#o;
    switch (action.type) {
      case 'readLease':
        this.#call(
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
        this.#ask<PeerReport>(
          action,
          (peer, answer) => answer(peer.report()),
          (answers) => this.#feed({ type: 'peers', askedAt: sentAt, answers }),
        );
        return;
      case 'askGrants':
        this.#askGrants(action, sentAt);
        return;
      case 'askPromises':
        this.#askPromises(action);
        return;
      case 'answerGrant':
        this.#grants.get(action.id)?.(action.answer);
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
    this.#call(
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

  /** A call to the API. What was sent arrives, also after whoever sent it has given up, or has died. */
  #call<T>(timeoutMs: number, serve: () => T, answer: (result: T | undefined) => void): void {
    const { world, name } = this.#o;
    const { api } = world;
    let open = true;
    const end = (result: T | undefined) => {
      if (!open) return;
      open = false;
      answer(result);
    };
    if (!api.reachable(name)) {
      this.#o.later(timeoutMs, () => end(undefined));
      return;
    }
    const there = api.delay();
    const back = api.delay();
    world.after(there, () => {
      if (!api.reachable(name)) return;
      const result = serve();
      if (api.answers(name)) this.#o.later(back, () => end(result));
    });
    if (there + back < timeoutMs && api.lostAnswers === 0) {
      // Only what may fail needs a clock.
      this.#o.later(there + back + 1, () => {
        if (open) this.#o.later(timeoutMs, () => end(undefined));
      });
    } else this.#o.later(timeoutMs, () => end(undefined));
  }

  /** Asks peers in parallel: all answers together, as soon as all are there or the time is up. */
  #ask<T>(
    { names, timeoutMs }: { names: string[]; timeoutMs: number },
    serve: (peer: SimInstance, answer: (result: T) => void) => void,
    done: (answers: Record<string, T | null>) => void,
  ): void {
    const { world, name: self } = this.#o;
    const answers: Record<string, T | null> = {};
    let missing = names.length;
    let open = true;
    const end = () => {
      if (!open) return;
      open = false;
      done(answers);
    };
    let silent = names.length === 0;
    for (const name of names) {
      answers[name] = null;
      const peer = world.instances.get(name);
      if (!peer?.alive || peer.exited !== undefined) {
        if (peer && !peer.alive && !world.reachable(self, name)) silent = true;
        // Nobody listens there: the refusal comes at once.
        else this.#o.later(2, () => --missing === 0 && end());
        continue;
      }
      if (!world.arrives(self, name) || peer.standsStill || !world.reachable(name, self)) silent = true;
      world.after(world.latency(), () => {
        if (!peer.answers || !world.reachable(self, name)) return;
        serve(peer, (result) => {
          if (!world.arrives(name, self)) return;
          this.#o.later(world.latency(), () => {
            answers[name] = result;
            if (--missing === 0) end();
          });
        });
      });
    }
    if (names.length === 0) this.#o.later(1, end);
    else if (silent || world.loss > 0) this.#o.later(timeoutMs, end);
    else
      this.#o.later(30, () => {
        if (open) this.#o.later(timeoutMs - 30, end);
      });
  }

  #askGrants(action: Of<'askGrants'>, askedAt: Now): void {
    const { identity } = this.#o.state.self;
    const { epoch } = action;
    this.#ask<GrantAnswer>(
      action,
      (peer, answer) => peer.grantFor(identity, epoch, answer),
      (answers) => this.#feed({ type: 'grants', askedAt, epoch, answers }),
    );
  }

  #askPromises(action: Of<'askPromises'>): void {
    const { epoch, version } = action;
    const { name } = this.#o;
    this.#ask<PromiseAnswer>(
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
    this.#call(
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
    this.#o.later(DURATION[job.kind] * world.between(0.8, 1.5), () => {
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
