import { isDeepStrictEqual } from 'node:util';
import { type Condition, isKubeError, type Job, kinds, type Pod, time } from '@pgherd/kube';
import { BY_OWNER } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { completedIndexes, isIndexed, missingIndexes, withIndex, writeIndexes } from './jobs-indexed.ts';
import {
  conditionOf,
  controllerOf,
  controllerReference,
  isActive,
  isControlledBy,
  isReady,
  isTerminating,
} from './pods.ts';

/** Runs the pods of a Job until enough of them succeeded, or too many failed. */

const FIRST_BACKOFF_MS = 10_000;
const LONGEST_BACKOFF_MS = 360_000;

export interface JobPlan {
  create: number;
  /** The numbers of those to be created, in a job of numbered pods. */
  indexes?: number[];
  remove: Pod[];
  status: NonNullable<Job['status']>;
  /** Look again after this long, though nothing changes. */
  afterMs?: number;
  /** Its time to live is over. */
  expired?: boolean;
}

/** The condition with which a job has ended. */
export function isDone(job: Job): Condition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
}

/** What to do for a job now. Pure. */
export function planJob(job: Job, owned: Pod[], now: Date): JobPlan {
  const active = owned.filter(isActive);
  const failed = owned.filter(({ status }) => status?.phase === 'Failed').length;
  const completed = isIndexed(job) ? completedIndexes(job, owned) : undefined;
  const succeeded = completed?.size ?? successes(job, owned);
  const counts = { active: active.length, ready: active.filter(isReady).length, succeeded, failed };
  const done = isDone(job);
  if (done) return afterEnd(job, done, active, counts, now);
  const { parallelism = 1, completions, suspend } = job.spec;
  if (suspend) return { create: 0, remove: active, status: suspended(job, counts, true, now) };
  const status = {
    ...suspended(job, counts, false, now),
    // The time in which it was suspended does not count.
    startTime:
      conditionOf(job, 'Suspended')?.status === 'True' ? time(now) : (job.status?.startTime ?? time(now)),
    ...(completed?.size ? { completedIndexes: writeIndexes(completed) } : {}),
  };
  if (isTerminating(job)) return { create: 0, remove: [], status };
  const needed = completions ?? 1;
  const limit = deadline(job, status.startTime, now);
  const verdict = judgeEnd(job, active, succeeded, failed, limit);
  if (verdict) {
    const ended = end(status, verdict, now);
    // Those that are stopped before their end have not succeeded.
    const more = verdict.types.includes('Complete')
      ? { completionTime: time(now) }
      : { failed: failed + active.length };
    return { create: 0, remove: active, status: { ...ended, ...more } };
  }
  const wanted = completions === undefined ? parallelism : Math.min(parallelism, needed - succeeded);
  const missing = wanted - active.length;
  const waitMs = missing > 0 ? backoff(owned, failed, now) : 0;
  const holds = waitMs > 0 || (completions === undefined && succeeded > 0);
  const create = holds ? 0 : Math.max(0, missing);
  return {
    create,
    ...(completed ? { indexes: missingIndexes(job, owned, create) } : {}),
    remove: missing < 0 ? active.slice(missing) : [],
    status,
    afterMs: soonest(waitMs > 0 ? waitMs : undefined, limit),
  };
}

function soonest(...times: (number | undefined)[]): number | undefined {
  const given = times.filter((ms): ms is number => ms !== undefined);
  return given.length > 0 ? Math.min(...given) : undefined;
}

/** A pod that somebody removed after its success has succeeded all the same. */
function successes(job: Job, owned: Pod[]): number {
  const there = owned.filter(({ status }) => status?.phase === 'Succeeded').length;
  return Math.max(job.status?.succeeded ?? 0, there);
}

/** The status of a job that is, or is no longer, suspended. */
function suspended(
  job: Job,
  counts: Partial<NonNullable<Job['status']>>,
  isSuspended: boolean,
  now: Date,
): NonNullable<Job['status']> {
  const before = conditionOf(job, 'Suspended');
  const { conditions = [] } = job.status ?? {};
  const status = { ...job.status, ...counts };
  if ((before?.status === 'True') === isSuspended) return status;
  const at = time(now);
  const condition = {
    type: 'Suspended',
    status: isSuspended ? 'True' : 'False',
    reason: isSuspended ? 'JobSuspended' : 'JobResumed',
    message: isSuspended ? 'Job suspended' : 'Job resumed',
    lastProbeTime: at,
    lastTransitionTime: at,
  };
  return { ...status, conditions: [...conditions.filter(({ type }) => type !== 'Suspended'), condition] };
}

function afterEnd(
  job: Job,
  done: Condition,
  active: Pod[],
  counts: { active: number; ready: number },
  now: Date,
): JobPlan {
  const status = { ...job.status, active: counts.active, ready: counts.ready };
  const ttl = job.spec.ttlSecondsAfterFinished;
  if (ttl === undefined) return { create: 0, remove: active, status };
  const leftMs = Date.parse(done.lastTransitionTime ?? '') + ttl * 1000 - now.getTime();
  return { create: 0, remove: active, status, expired: leftMs <= 0, afterMs: Math.max(0, leftMs) };
}

interface Verdict {
  types: string[];
  reason: string;
  message: string;
}

/** Whether the job is over, and how. */
function judgeEnd(
  job: Job,
  active: Pod[],
  succeeded: number,
  failed: number,
  limit: number | undefined,
): Verdict | undefined {
  const { completions, backoffLimit = 6, template } = job.spec;
  if (succeeded >= (completions ?? 1) && (completions !== undefined || active.length === 0)) {
    const message = 'Reached expected number of succeeded pods';
    return { types: ['SuccessCriteriaMet', 'Complete'], reason: 'CompletionsReached', message };
  }
  const types = ['FailureTarget', 'Failed'];
  const restarts = active.reduce((sum, pod) => sum + restartsOf(pod), 0);
  if (failed > backoffLimit || (template.spec.restartPolicy === 'OnFailure' && restarts > backoffLimit)) {
    return { types, reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
  }
  if (limit === undefined || limit > 0) return undefined;
  return { types, reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };
}

function end(status: NonNullable<Job['status']>, { types, reason, message }: Verdict, now: Date) {
  const at = time(now);
  const made = types.map((type) => ({
    type,
    status: 'True',
    reason,
    message,
    lastProbeTime: at,
    lastTransitionTime: at,
  }));
  const others = (status.conditions ?? []).filter(({ type }) => !types.includes(type));
  return { ...status, active: 0, ready: 0, conditions: [...others, ...made] };
}

function restartsOf(pod: Pod): number {
  return (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** Milliseconds left of activeDeadlineSeconds, undefined without one. */
function deadline(job: Job, startTime: string, now: Date): number | undefined {
  const seconds = job.spec.activeDeadlineSeconds;
  return seconds === undefined ? undefined : Date.parse(startTime) + seconds * 1000 - now.getTime();
}

/** How long the next pod has to wait after the last failure. */
function backoff(owned: Pod[], failed: number, now: Date): number {
  if (failed === 0) return 0;
  const wait = Math.min(FIRST_BACKOFF_MS * 2 ** (failed - 1), LONGEST_BACKOFF_MS);
  const ends = owned.filter(({ status }) => status?.phase === 'Failed').map(finishedAt);
  return Math.max(...ends) + wait - now.getTime();
}

function finishedAt(pod: Pod): number {
  const times = (pod.status?.containerStatuses ?? []).map(({ state }) =>
    Date.parse(state?.terminated?.finishedAt ?? ''),
  );
  return Math.max(Date.parse(pod.metadata.creationTimestamp ?? '') || 0, ...times.filter(Number.isFinite));
}

/** Runs the controller. */
export function startJobs(context: Context): void {
  const { client, caches, events, now } = context;
  const { jobs, pods } = caches;
  const removed = new Set<string>();
  const queue = workQueue(context, 'jobs', reconcile);
  jobs.onChange((job) => {
    if (job) queue.add(keyOf(job));
  });
  pods.onChange((pod, old) => {
    const { metadata } = (pod ?? old)!;
    if (!pod || isTerminating(pod)) removed.delete(metadata.uid!);
    const owner = controllerOf((pod ?? old)!);
    if (owner?.kind === 'Job') queue.add(`${metadata.namespace}/${owner.name}`);
  });

  async function reconcile(key: string): Promise<{ afterMs?: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const job = jobs.get(namespace, name);
    if (!job) return undefined;
    const owned = pods.byIndex(BY_OWNER, job.metadata.uid!).filter((pod) => isControlledBy(pod, job));
    const plan = planJob(job, owned, now());
    if (plan.expired) {
      await ignoringMissing(client.delete(kinds.Job, job.metadata, { propagationPolicy: 'Background' }));
      return undefined;
    }
    for (let n = 0; n < plan.create; n++) await create(job, plan.indexes?.[n]);
    for (const pod of plan.remove) await remove(job, pod);
    if (!isDeepStrictEqual({ ...job.status, ...plan.status }, job.status)) {
      const body = { status: plan.status };
      jobs.absorb(
        await client.patch(kinds.Job, job.metadata, { type: 'merge', subresource: 'status', body }),
      );
      const failure = conditionOf({ status: plan.status }, 'Failed');
      if (failure) events(job, 'Warning', failure.reason ?? 'Failed', failure.message ?? '');
    }
    return { afterMs: plan.afterMs };
  }

  async function create(job: Job, index: number | undefined): Promise<void> {
    const { namespace, name } = job.metadata;
    const { template } = job.spec;
    const { metadata, spec } = index === undefined ? template : withIndex(template, name, index);
    const made = await client.create(kinds.Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: '',
        generateName: index === undefined ? `${name}-` : `${name}-${index}-`,
        namespace,
        labels: metadata?.labels,
        annotations: metadata?.annotations,
        ownerReferences: [controllerReference(job)],
      },
      spec,
    });
    pods.absorb(made);
    events(job, 'Normal', 'SuccessfulCreate', `Created pod: ${made.metadata.name}`);
  }

  async function remove(job: Job, pod: Pod): Promise<void> {
    const { uid, name } = pod.metadata;
    if (removed.has(uid!)) return;
    await ignoringMissing(client.delete(kinds.Pod, pod.metadata, { preconditions: { uid } }));
    if (pods.get(pod.metadata.namespace, name)) removed.add(uid!);
    events(job, 'Normal', 'SuccessfulDelete', `Deleted pod: ${name}`);
  }
}

async function ignoringMissing(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isKubeError(error, 'NotFound')) throw error;
  }
}
