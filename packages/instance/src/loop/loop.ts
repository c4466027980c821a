/**
 * The loop: feeds the machine of @pgherd/ha with what happens, and carries out what it asks for. It has no plan of
 * its own: every judgement is in the machine.
 */
import type { EffectiveSpec, InstanceReport } from '@pgherd/api';
import {
  type Action,
  type Event,
  type GrantAnswer,
  initialState,
  type PromiseAnswer,
  type State,
  step,
} from '@pgherd/ha';
import { type Client, createEventRecorder, type EventRecorder, type Log } from '@pgherd/kube';
import type { Layout } from '../database/layout.ts';
import type { Database, WalLost } from '../database/types.ts';
import type { GuardLink } from '../guard-link.ts';
import { Assent } from './assent.ts';
import { clocksAt, guardDeadline, readClocks } from './clock.ts';
import { Configurer } from './configure.ts';
import { GrantLog } from './grant-notes.ts';
import { Jobs } from './jobs.ts';
import { LeaseClient } from './lease-client.ts';
import { PeersClient, type PeerTls } from './peers-client.ts';
import { Reporter, type ReporterOptions } from './reporter.ts';
import { Routing } from './routing.ts';
import { type ClusterObject, Surroundings } from './surroundings.ts';

export interface LoopOptions extends ReporterOptions {
  client: Client;
  namespace: string;
  cluster: string;
  /** Name of this instance (its pod's name). */
  instance: string;
  podUID: string;
  podIP: string;
  /** When this manager started, milliseconds since 1970: with the pod's UID, its name as a holder. */
  managerStart: number;
  database: Database;
  layout: Layout;
  guard: GuardLink;
  /** The client certificate for the peers, as it is now. */
  peerTls(): PeerTls;
  log: Log;
  /** Told of the spec whenever the Cluster has changed. */
  spec?(eff: EffectiveSpec, cluster: ClusterObject): void;
  /** Our pod is being deleted; may be told more than once. */
  deleted?(): void;
  /** Called once, when the machine has come to its end: the process is to exit with this code. */
  exit(code: number, why: string): void;
  /** For tests. */
  peerPort?: number;
}

const ASK_MS = 2_000;
/** How long the others may prepare for a change of primary; whoever takes longer is not waited for. */
const PREPARE_MS = 1_000;

export class Loop {
  readonly #o: LoopOptions;
  readonly #lease: LeaseClient;
  readonly #peers: PeersClient;
  readonly #configurer: Configurer;
  readonly #assent: Assent;
  readonly #reporter: Reporter;
  readonly #jobs: Jobs;
  readonly #surroundings: Surroundings;
  readonly #routing: Routing;
  readonly #events: EventRecorder;
  #state: State;
  #situation: string | undefined;
  #queue: Event[] = [];
  #draining = false;
  #timer: NodeJS.Timeout | undefined;
  #signal: AbortSignal | undefined;
  /** The last leadership here was handed to somebody by name. */
  #handedOver = false;

  constructor(options: LoopOptions) {
    this.#o = options;
    const { client, namespace, cluster, instance, podUID, podIP, database, log } = options;
    const identity = `${podUID}/${options.managerStart}`;
    const grants = new GrantLog(options.layout.run);
    const self = { name: instance, podUID, identity, address: podIP };
    this.#state = initialState(self, database.promised, grants.before);
    this.#lease = new LeaseClient({
      client,
      namespace,
      cluster,
      wall: () => Date.now(),
      owner: () => this.#surroundings.owner(),
    });
    this.#peers = new PeersClient({
      cluster,
      tls: options.peerTls,
      ...(options.peerPort ? { port: options.peerPort } : {}),
    });
    this.#reporter = new Reporter(
      database,
      () => this.#state,
      () => this.#configurer.reloaded,
      options,
    );
    this.#jobs = new Jobs({
      database,
      client,
      namespace,
      log,
      cluster,
      instance,
      layout: options.layout,
      prepareOthers: (checkpoint) => this.#prepareOthers(checkpoint),
      eff: () => this.#configurer.eff,
      clusterObject: () => this.#surroundings.cluster(),
      saw: (view) => this.#reporter.saw(view),
      feed: (event) => this.#feed(event),
      slotsLeft: (slots) => this.#note(slotsLeftBehind(instance, slots)),
    });
    this.#routing = new Routing({ client, namespace, cluster, instance });
    this.#events = createEventRecorder(client, 'pgherd-instance', { log, instance });
    this.#configurer = new Configurer({
      database,
      client,
      namespace,
      log,
      problem: (what, message) => this.#problem(what, message),
    });
    this.#surroundings = new Surroundings({
      client,
      namespace,
      cluster,
      instance,
      podUID,
      log,
      pods: (pods) => this.#feed({ type: 'pods', pods }),
      self: (containerID) => this.#feed({ type: 'self', containerID }),
      deleted: () => options.deleted?.(),
      wishes: (eff, settings, reload, cluster) => {
        options.spec?.(eff, cluster);
        // PostgreSQL is never started on settings older than those the machine decides by.
        this.#configurer.apply(eff, reload).then(() => this.#feed({ type: 'settings', settings }));
      },
    });
    this.#assent = new Assent({
      instance,
      identity,
      peers: this.#peers,
      addressOf: (name) => this.#surroundings.addressOf(name),
      feed: (event) => this.#feed(event),
      note: (to, epoch) => grants.note(to, epoch),
    });
  }

  /** A leader asks whether it may go on without the API. */
  grant(question: { leader: string; epoch: number }): Promise<GrantAnswer> {
    return this.#assent.grant(question);
  }

  /** A candidate asks us to receive no more WAL and to say how far we are. */
  promise(question: { candidate: string; epoch: number; version: string }): Promise<PromiseAnswer> {
    return this.#assent.promise(question);
  }

  /** The leader is about to stop by plan: all that this standby can do for it beforehand. */
  async prepare({ checkpoint }: { checkpoint: string }): Promise<{ name: string }> {
    const { database, instance } = this.#o;
    await Promise.all([
      database.view().inRecovery ? database.readyToTakeOver(checkpoint) : undefined,
      this.#routing.look(),
    ]);
    return { name: instance };
  }

  /** Starts, and goes on until `signal` ends it. The certificates must be in place. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    this.#o.database.onWalLost((loss) => this.#note(walLost(this.#o.instance, loss)));
    this.#o.database.onExit((info) => {
      const reason = info.signal ?? `code ${info.code}`;
      if (!info.expected)
        this.#o.log.warn({ reason, lastLog: info.lastLog }, 'PostgreSQL has ended unexpectedly');
      this.#feed({ type: 'exited', expected: info.expected, reason });
    });
    signal.addEventListener('abort', () => {
      clearTimeout(this.#timer);
      this.#jobs.abort();
      this.#peers.close();
    });
    this.#surroundings.start(signal);
    this.#lease.watch(signal, (seen) => this.#feed({ type: 'leaseHint', ...seen }));
    this.#feed({ type: 'tick' });
  }

  /** The pod is being stopped: a leader hands over first. `exit` is called when all is done. */
  terminate(graceMs: number): void {
    this.#feed({ type: 'terminate', graceMs });
  }

  /** A secret that holds passwords has changed. */
  secretsChanged(): void {
    this.#configurer.secretsChanged();
    this.#feed({ type: 'tick' });
  }

  /** What the machine remembers; never to be changed. */
  get state(): State {
    return this.#state;
  }

  /** The situation the machine sees the database in, for local commands. */
  get situation(): string | undefined {
    return this.#situation;
  }

  /** The report from the last observation: for probes, which must not wait. */
  report(): InstanceReport {
    return this.#reporter.report();
  }

  /** Resolves when the report says something else than `seen`, or after `ms`; see Reporter. */
  changed(seen: string, ms: number): Promise<void> {
    return this.#reporter.changed(seen, ms);
  }

  /**
   * The report from an observation that began after this call. Peers count on it: a position from before the question
   * would miss what was acknowledged in between. The machine is told of it too.
   */
  async freshReport(): Promise<InstanceReport> {
    await this.#observe();
    return this.#reporter.report();
  }

  /** Another instance's report; null without an answer. */
  async ask(peer: { name: string; address: string }): Promise<InstanceReport | null> {
    let answer: InstanceReport | null = null;
    await this.#peers.ask([peer], ASK_MS, (_, report) => {
      answer = report;
    });
    return answer;
  }

  // --- the machine ----------------------------------------------------------------------------------------------

  #feed(event: Event): void {
    this.#queue.push(event);
    if (this.#draining || this.#signal === undefined) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#step(next);
    } finally {
      this.#draining = false;
    }
  }

  #step(event: Event): void {
    if (this.#signal?.aborted) return;
    const now = readClocks();
    const { state, actions, wakeAt, situation } = step(this.#state, event, now);
    this.#state = state;
    this.#reporter.stepped(state);
    if (situation !== this.#situation) {
      this.#o.log.debug({ situation, event: event.type }, 'the situation has changed');
      this.#situation = situation;
    }
    for (const action of actions) this.#act(action);
    if (state.held && situation === 'leader: running' && state.view?.inRecovery === false)
      this.#configurer.roles(state.held.epoch);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#feed({ type: 'tick' }), Math.max(wakeAt - performance.now(), 0));
  }

  /** One that fails takes none of the others with it. */
  #act(action: Action): void {
    this.#carryOut(action).catch((error) =>
      this.#o.log.error({ action: action.type, error: String(error) }, 'an action failed'),
    );
  }

  async #carryOut(action: Action): Promise<void> {
    switch (action.type) {
      case 'beat':
        this.#o.guard.beat(action.deadline && guardDeadline(action.deadline));
        return undefined;
      case 'readLease':
        return this.#readLease(action.timeoutMs);
      case 'writeLease':
        return this.#writeLease(action);
      case 'askPeers':
        return this.#askPeers(action.names, action.timeoutMs);
      case 'askGrants':
        return this.#assent.askGrants(action);
      case 'askPromises':
        return this.#assent.askPromises(action);
      case 'answerGrant':
      case 'answerPromise':
        this.#assent.answer(action);
        return undefined;
      case 'observe':
        return this.#observe();
      case 'job':
        return this.#jobs.run(action);
      case 'aside':
        return this.#jobs.aside(action);
      case 'route':
        return this.#route(action.epoch);
      case 'note':
        this.#note(action);
        return undefined;
      case 'exit':
        return this.#exit(action.code, action.why);
    }
  }

  async #readLease(timeoutMs: number): Promise<void> {
    const sentAt = readClocks();
    const outcome = await this.#lease.read(timeoutMs);
    this.#feed({ type: 'leaseRead', sentAt, outcome });
  }

  async #writeLease(action: Extract<Action, { type: 'writeLease' }>): Promise<void> {
    const { id, version, purpose, record, timeoutMs } = action;
    const takeMs = this.#state.settings!.takeMs;
    const sentAt = readClocks();
    const outcome = await this.#lease.write(version, purpose, record, { timeoutMs, takeMs });
    if (outcome.kind !== 'ok') this.#o.log.warn({ purpose, outcome }, 'the Lease was not written');
    this.#handedOver = purpose === 'release' && record.handover !== undefined;
    this.#feed({ type: 'leaseWritten', id, sentAt, outcome });
  }

  async #askPeers(names: string[], timeoutMs: number): Promise<void> {
    const askedAt = readClocks();
    const peers = names.flatMap((name) => {
      const address = this.#surroundings.addressOf(name);
      return address ? [{ name, address }] : [];
    });
    const answers: Record<string, InstanceReport | null> = Object.fromEntries(
      names.map((name) => [name, null]),
    );
    const tell = (name: string, report: InstanceReport) => {
      answers[name] = report;
      this.#feed({ type: 'peers', askedAt, answers: { [name]: report }, more: true });
    };
    await this.#peers.ask(peers, timeoutMs, tell);
    this.#feed({ type: 'peers', askedAt, answers: { ...answers } });
  }

  async #prepareOthers(checkpoint: string): Promise<void> {
    const names = (this.#state.lease?.record.members ?? []).map(({ name }) => name);
    const addresses = names
      .filter((name) => name !== this.#o.instance)
      .flatMap((name) => this.#surroundings.addressOf(name) ?? []);
    await this.#peers.prepare(addresses, checkpoint, PREPARE_MS);
  }

  async #observe(): Promise<void> {
    const view = await this.#reporter.freshView();
    this.#feed({ type: 'observed', startedAt: clocksAt(view.observedAt), view });
  }

  async #route(epoch: number): Promise<void> {
    const outcome = await this.#routing.route(epoch);
    if (outcome !== 'ok') this.#o.log.warn({ epoch, outcome }, 'the -rw Service was not pointed here');
    this.#feed({ type: 'routed', epoch, outcome });
  }

  #note({ severity, reason, message }: Extract<Action, { type: 'note' }>): void {
    this.#o.log[severity === 'Warning' ? 'warn' : 'info']({ reason }, message);
    const object: ClusterObject | undefined = this.#surroundings.cluster();
    if (object) this.#events(object, severity, reason, message);
  }

  async #exit(code: number, why: string): Promise<void> {
    this.#o.log.info({ code }, why);
    await Promise.all([
      Promise.race([this.#events.flush(), new Promise((resolve) => setTimeout(resolve, 500))]),
      this.#handedOver ? this.#routing.leave() : undefined,
    ]);
    this.#o.exit(code, why);
  }

  #problem(what: string, message: string | undefined): void {
    if (!this.#reporter.problem(what, message) || message === undefined) return;
    const reason = what === 'settings' ? 'SettingsRefused' : 'RolesFailed';
    this.#note({ type: 'note', severity: 'Warning', reason, message });
  }
}

function walLost(instance: string, { files, why }: WalLost): Extract<Action, { type: 'note' }> {
  const lost = `files of pg_wal have vanished under the primary ${instance}: ${files.join(', ')}`;
  const message = why
    ? `${lost}. What they held could not be brought to the data files, which is tried again: ${why}`
    : `${lost}. What they held is in the data files now. Replicas that cannot follow over the gap are copied anew; where WAL is archived, make a full backup: nothing can be recovered over the gap either`;
  return { type: 'note', severity: 'Warning', reason: 'WalLost', message };
}

/** PostgreSQL takes a user's slots along in no change of primary: whoever reads from them must be told. */
function slotsLeftBehind(instance: string, slots: string[]): Extract<Action, { type: 'note' }> {
  const message = `${instance} is a replica and has replication slots that pgherd did not make: ${slots.join(', ')}. A change of primary does not take them along: make them anew on the primary, and drop them here if nobody uses them, since they keep WAL`;
  return { type: 'note', severity: 'Warning', reason: 'SlotsLeftBehind', message };
}
