import { isDeepStrictEqual } from 'node:util';
import { type CronJob, isKubeError, type Job, kinds, type ObjectReference, time } from '@pgherd/kube';
import { BY_OWNER } from './caches.ts';
import { type Context, keyOf, splitKey, workQueue } from './context.ts';
import { isDone } from './jobs.ts';
import { controllerOf, controllerReference, isControlledBy, isTerminating } from './pods.ts';
import { parseSchedule, type Schedule } from './schedule.ts';

/** Makes Jobs at the times of a schedule, and removes old ones. */

const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

export interface CronPlan {
  /** The time for which a job is due now. */
  start?: Date;
  /** Jobs to delete: those that the new one replaces, and those beyond the history's limits. */
  remove: Job[];
  status: NonNullable<CronJob['status']>;
  /** Something a user should hear of. */
  event?: { type: 'Normal' | 'Warning'; reason: string; message: string };
  afterMs?: number;
}

/** What to do for a cron job now. Pure. */
export function planCronJob(cronJob: CronJob, owned: Job[], now: Date): CronPlan {
  const running = owned.filter((job) => !isDone(job));
  const plan: CronPlan = {
    remove: beyondHistory(cronJob, owned),
    status: statusOf(cronJob, owned, running),
  };
  if (isTerminating(cronJob) || cronJob.spec.suspend) return plan;
  let schedule: Schedule;
  try {
    schedule = parseSchedule(cronJob.spec.schedule, cronJob.spec.timeZone);
  } catch (error) {
    const message = `schedule ${JSON.stringify(cronJob.spec.schedule)}: ${(error as Error).message}`;
    return { ...plan, event: { type: 'Warning', reason: 'UnparseableSchedule', message } };
  }
  const next = schedule.next(now);
  if (next) plan.afterMs = next.getTime() - now.getTime();
  return { ...plan, ...due(cronJob, schedule, running, plan.remove, now) };
}

/** Whether a job has to start now. */
function due(
  cronJob: CronJob,
  schedule: Schedule,
  running: Job[],
  remove: Job[],
  now: Date,
): Pick<CronPlan, 'event'> & Partial<CronPlan> {
  const { startingDeadlineSeconds, concurrencyPolicy } = cronJob.spec;
  const since = Date.parse(cronJob.status?.lastScheduleTime ?? cronJob.metadata.creationTimestamp ?? '');
  const last = schedule.last(now);
  if (!last || last.getTime() <= since) return {};
  if (
    startingDeadlineSeconds !== undefined &&
    now.getTime() - last.getTime() > startingDeadlineSeconds * 1000
  ) {
    const message = `Missed scheduled time to start a job: ${time(last)}`;
    return { event: { type: 'Warning', reason: 'MissSchedule', message } };
  }
  if (concurrencyPolicy === 'Forbid' && running.length > 0) {
    const message = 'Not starting job because prior execution is running and concurrency policy is Forbid';
    return { event: { type: 'Normal', reason: 'JobAlreadyActive', message } };
  }
  return { start: last, remove: concurrencyPolicy === 'Replace' ? [...remove, ...running] : remove };
}

function statusOf(cronJob: CronJob, owned: Job[], running: Job[]): NonNullable<CronJob['status']> {
  const ends = owned.flatMap(({ status }) => status?.completionTime ?? []);
  const before = cronJob.status?.lastSuccessfulTime;
  const lastSuccessfulTime = [...ends, ...(before ? [before] : [])].sort().at(-1);
  return {
    ...cronJob.status,
    active: running.map(reference),
    ...(lastSuccessfulTime ? { lastSuccessfulTime } : {}),
  };
}

function reference({ metadata }: Job): ObjectReference {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion: 'batch/v1', kind: 'Job', namespace, name, uid, resourceVersion };
}

/** The oldest finished jobs, beyond as many as are to be kept of each outcome. */
function beyondHistory({ spec }: CronJob, owned: Job[]): Job[] {
  const limits = { Complete: spec.successfulJobsHistoryLimit ?? 3, Failed: spec.failedJobsHistoryLimit ?? 1 };
  return Object.entries(limits).flatMap(([type, limit]) =>
    owned
      .filter((job) => isDone(job)?.type === type && !isTerminating(job))
      .sort((a, b) => (startOf(a) < startOf(b) ? 1 : -1))
      .slice(limit),
  );
}

function startOf({ metadata, status }: Job): string {
  return status?.startTime ?? metadata.creationTimestamp ?? '';
}

/** The job for a time of the schedule: one time, one name, so that it is never made twice. Pure. */
export function jobFor(cronJob: CronJob, at: Date): Job {
  const { jobTemplate } = cronJob.spec;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: `${cronJob.metadata.name}-${Math.floor(at.getTime() / 60_000)}`,
      namespace: cronJob.metadata.namespace,
      labels: jobTemplate.metadata?.labels,
      annotations: { ...jobTemplate.metadata?.annotations, [SCHEDULED_AT]: time(at) },
      ownerReferences: [controllerReference({ ...cronJob, apiVersion: 'batch/v1', kind: 'CronJob' })],
    },
    spec: jobTemplate.spec,
  };
}

/** Runs the controller. */
export function startCronJobs(context: Context): void {
  const { client, caches, events, now } = context;
  const { cronJobs, jobs } = caches;
  const queue = workQueue(context, 'cronjobs', reconcile);
  cronJobs.onChange((cronJob) => {
    if (cronJob) queue.add(keyOf(cronJob));
  });
  jobs.onChange((job, old) => {
    const owner = controllerOf((job ?? old)!);
    if (owner?.kind === 'CronJob') queue.add(`${(job ?? old)!.metadata.namespace}/${owner.name}`);
  });

  async function reconcile(key: string): Promise<{ afterMs?: number } | undefined> {
    const { namespace, name } = splitKey(key);
    const cronJob = cronJobs.get(namespace, name);
    if (!cronJob) return undefined;
    const owned = jobs.byIndex(BY_OWNER, cronJob.metadata.uid!).filter((job) => isControlledBy(job, cronJob));
    const plan = planCronJob(cronJob, owned, now());
    if (plan.event) events(cronJob, plan.event.type, plan.event.reason, plan.event.message);
    for (const job of plan.remove) await remove(cronJob, job);
    let { status } = plan;
    if (plan.start) {
      const job = await start(cronJob, plan.start);
      const others = (status.active ?? []).filter(
        ({ uid }) => !plan.remove.some((one) => one.metadata.uid === uid),
      );
      status = {
        ...status,
        lastScheduleTime: time(plan.start),
        active: job ? [...others, reference(job)] : others,
      };
    }
    if (!isDeepStrictEqual(comparable(status), comparable(cronJob.status ?? {})))
      cronJobs.absorb(
        await client.patch(kinds.CronJob, cronJob.metadata, {
          type: 'merge',
          subresource: 'status',
          body: { status },
        }),
      );
    return { afterMs: plan.afterMs };
  }

  async function start(cronJob: CronJob, at: Date): Promise<Job | undefined> {
    const wanted = jobFor(cronJob, at);
    try {
      const job = await client.create(kinds.Job, wanted);
      jobs.absorb(job);
      events(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${job.metadata.name}`);
      return job;
    } catch (error) {
      if (isKubeError(error, 'AlreadyExists')) return undefined;
      events(cronJob, 'Warning', 'FailedCreate', `Error creating job: ${(error as Error).message}`);
      throw error;
    }
  }

  async function remove(cronJob: CronJob, job: Job): Promise<void> {
    try {
      await client.delete(kinds.Job, job.metadata, {
        propagationPolicy: 'Background',
        preconditions: { uid: job.metadata.uid },
      });
      events(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${job.metadata.name}`);
    } catch (error) {
      if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
    }
  }
}

/** A status without what changes with every write of a job. */
function comparable(status: NonNullable<CronJob['status']>): object {
  return { ...status, active: (status.active ?? []).map(({ uid }) => uid) };
}
