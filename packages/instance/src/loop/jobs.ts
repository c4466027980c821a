/** Hands the machine's jobs to the executor. */
import type { EffectiveSpec } from '@pgherd/api';
import type { Aside, Job } from '@pgherd/ha';
import type { Client } from '@pgherd/kube';
import { initialiseSpec } from '../bootstrap/plan.ts';
import { readBootstrapInputs } from '../bootstrap/references.ts';
import type { Database } from '../database/types.ts';
import { InstanceError } from '../errors.ts';

export interface JobContext {
  database: Database;
  client: Client;
  namespace: string;
  /** The spec as last applied. */
  eff(): EffectiveSpec | undefined;
}

export interface JobResult {
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
  stop: ({ database }, { fastMs, immediateMs }) => nothing(database.stop({ fastMs, immediateMs })),
  claim: ({ database }) => nothing(database.claim()),
  startPrimary: ({ database }, { syncNames }) => nothing(database.startPrimary({ syncNames })),
  startStandby: ({ database }, { upstream, applicationName, sealed }) =>
    nothing(database.startStandby({ upstream, applicationName, ...(sealed ? { sealed } : {}) })),
  follow: ({ database }, { upstream, applicationName }) =>
    nothing(database.follow({ upstream, applicationName })),
  setSync: ({ database }, { names }) => nothing(database.setSync(names)),
  promote: ({ database }, { syncNames, timeline }) => database.promote({ syncNames, timeline }),
  checkpoint: ({ database }) => nothing(database.checkpoint()),
  copy: ({ database }, { source }, signal) => nothing(database.copy({ source }, signal)),
  rewind: ({ database }, { source }, signal) => database.rewind({ source }, signal),
  wipe: ({ database }) => nothing(database.wipeForCopy()),
  cutWal: ({ database }, { promise }) => nothing(database.cutWal(promise)),
  async initialise({ database, client, namespace, eff }) {
    const spec = eff();
    if (!spec)
      throw new InstanceError('NoSettings', 'initialising the data directory: the Cluster is not known yet');
    const inputs = await readBootstrapInputs(client, namespace, spec);
    await database.initialise(initialiseSpec(spec, inputs));
    return {};
  },
};

/** Runs one job to its end. Rejects with the executor's error. */
export function runJob(c: JobContext, job: Job, signal: AbortSignal): Promise<JobResult> {
  const dispatch = DISPATCH[job.kind] as (c: JobContext, job: Job, signal: AbortSignal) => Promise<JobResult>;
  return dispatch(c, job, signal);
}

/** Runs what goes on beside the jobs. */
export function runAside(database: Database, aside: Aside): Promise<void> {
  return aside.kind === 'checkpoint' ? database.checkpoint() : database.ensureSlots(aside.instances);
}
