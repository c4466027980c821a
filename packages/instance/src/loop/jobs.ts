/** Hands the machine's jobs to the executor, and tells it how they ended. */
import type { Cluster, EffectiveSpec } from '@pgherd/api';
import type { Action, Aside, Event, Job } from '@pgherd/ha';
import type { Client, Log } from '@pgherd/kube';
import { initialiseSpec } from '../bootstrap/plan.ts';
import { recoveryFor } from '../bootstrap/recovery.ts';
import { readBootstrapInputs } from '../bootstrap/references.ts';
import type { Layout } from '../database/layout.ts';
import type { Database, DatabaseView } from '../database/types.ts';
import { InstanceError } from '../errors.ts';
import { clocksAt } from './clock.ts';

interface JobContext {
  database: Database;
  client: Client;
  namespace: string;
  cluster: string;
  instance: string;
  layout: Layout;
  /** Has the other members prepare for a change of primary; never rejects, and does not wait for long. */
  prepareOthers(checkpoint: string): Promise<void>;
  /** The spec as last applied. */
  eff(): EffectiveSpec | undefined;
  /** The Cluster as last seen. */
  clusterObject(): Cluster | undefined;
}

export interface JobsOptions extends JobContext {
  log: Log;
  /** Told of every view. */
  saw(view: DatabaseView): void;
  feed(event: Event): void;
  /** Slots of users that lie idle on a standby; each is told once. */
  slotsLeft(slots: string[]): void;
}

interface JobResult {
  rewound?: boolean;
  timeline?: number;
  discarded?: { from: string; to: string };
}

type Dispatch = {
  [K in Job['kind']]: (
    c: JobContext,
    job: Extract<Job, { kind: K }>,
    signal: AbortSignal,
  ) => Promise<JobResult>;
};

const nothing = async (done: Promise<unknown>): Promise<JobResult> => {
  await done;
  return {};
};

const DISPATCH: Dispatch = {
  die: ({ database }) => nothing(database.die()),
  stop: ({ database }, { fastMs, immediateMs, heir }) =>
    nothing(database.stop({ fastMs, immediateMs, leaveArchiver: heir })),
  claim: ({ database }) => nothing(database.claim()),
  startPrimary: ({ database }, { syncNames }) => nothing(database.startPrimary({ syncNames })),
  startStandby: ({ database }, { upstream, applicationName, syncNames, sealed }) =>
    nothing(database.startStandby({ upstream, applicationName, syncNames, ...(sealed ? { sealed } : {}) })),
  follow: ({ database }, { upstream, applicationName, syncNames }) =>
    nothing(database.follow({ upstream, applicationName, syncNames })),
  setSync: ({ database }, { names }) => nothing(database.setSync(names)),
  promote: ({ database }, { syncNames, timeline }) => database.promote({ syncNames, timeline }),
  checkpoint: ({ database, prepareOthers }) => nothing(database.readyToStop(prepareOthers)),
  copy: ({ database }, { source }, signal) => nothing(database.copy({ source }, signal)),
  rewind: ({ database }, { source }, signal) => database.rewind({ source }, signal),
  wipe: ({ database }, { source }) => nothing(database.wipeForCopy(source)),
  cutWal: ({ database }, { promise }) => nothing(database.cutWal(promise)),
  async initialise(c) {
    const { database, client, namespace } = c;
    const [spec, cluster] = [c.eff(), c.clusterObject()];
    if (!spec || !cluster)
      throw new InstanceError('NoSettings', 'initialising the data directory: the Cluster is not known yet');
    const recovery = await recoveryFor(c, cluster, spec);
    if (recovery) {
      await database.recover(recovery);
      return {};
    }
    const inputs = await readBootstrapInputs(client, namespace, spec);
    await database.initialise(initialiseSpec(spec, inputs));
    return {};
  },
};

/** Runs what the machine asks for, one job at a time, and feeds it with the outcome. */
export class Jobs {
  readonly #o: JobsOptions;
  /** Ends the job that runs, when the machine has begun another. */
  #current = new AbortController();
  readonly #told = new Set<string>();

  constructor(options: JobsOptions) {
    this.#o = options;
  }

  abort(): void {
    this.#current.abort();
  }

  async run({ id, job }: Extract<Action, { type: 'job' }>): Promise<void> {
    const { log, feed } = this.#o;
    this.abort();
    this.#current = new AbortController();
    const began = performance.now();
    const ms = () => Math.round(performance.now() - began);
    const dispatch = DISPATCH[job.kind] as (
      c: JobContext,
      job: Job,
      signal: AbortSignal,
    ) => Promise<JobResult>;
    try {
      const result = await dispatch(this.#o, job, this.#current.signal);
      log.info({ job, ms: ms() }, `${job.kind} done`);
      feed({ type: 'jobDone', id, ...this.#seenAfter(began), ...result });
    } catch (error) {
      const { code = 'Failed', message = String(error) } = error as { code?: string; message?: string };
      log.warn({ job, code, message, ms: ms() }, `${job.kind} failed`);
      feed({ type: 'jobFailed', id, code: String(code), message });
    }
  }

  /** What goes on beside the jobs. */
  async aside({ aside }: Extract<Action, { type: 'aside' }>): Promise<void> {
    const { log, feed } = this.#o;
    try {
      const left = (await runAside(this.#o.database, aside)).filter((slot) => !this.#told.has(slot));
      for (const slot of left) this.#told.add(slot);
      if (left.length > 0) this.#o.slotsLeft(left);
      feed({ type: 'asideDone', kind: aside.kind, ok: true });
    } catch (error) {
      log.warn({ aside, error: String(error) }, `${aside.kind} failed`);
      feed({ type: 'asideDone', kind: aside.kind, ok: false });
    }
  }

  /** The executor looks at the database at the end of each request: what it saw need not be looked at again. */
  #seenAfter(began: number): Pick<Extract<Event, { type: 'jobDone' }>, 'seen'> {
    const view = this.#o.database.view();
    this.#o.saw(view);
    return view.observedAt >= began ? { seen: { startedAt: clocksAt(view.observedAt), view } } : {};
  }
}

/** Returns the slots of users that a standby keeps for nobody. */
async function runAside(database: Database, aside: Aside): Promise<string[]> {
  if (aside.kind !== 'checkpoint') return database.ensureSlots(aside.instances, aside.primary);
  await database.checkpoint();
  return [];
}
