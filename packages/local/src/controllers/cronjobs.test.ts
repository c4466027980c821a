import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CronJob, Job } from '@pgherd/kube';
import { jobFor, planCronJob } from './cronjobs.ts';
import { parseSchedule } from './schedule.ts';

const at = (text: string): Date => new Date(`2026-11-28T${text}Z`);

function cronJob(spec: Partial<CronJob['spec']> = {}, status: CronJob['status'] = {}): CronJob {
  return {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'c', namespace: 'n', uid: 'u', creationTimestamp: '2026-11-28T08:00:30Z' },
    spec: {
      schedule: '*/5 * * * *',
      jobTemplate: { spec: { template: { spec: { containers: [] } } } },
      ...spec,
    },
    status,
  };
}

function job(name: string, ended?: 'Complete' | 'Failed'): Job {
  const conditions = ended ? [{ type: ended, status: 'True' }] : [];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'n', uid: name },
    spec: { template: { spec: { containers: [] } } },
    status: { startTime: `2026-11-28T0${name.length}:00:00Z`, conditions },
  };
}

const names = (jobs: Job[]): string[] => jobs.map(({ metadata }) => metadata.name);

test('a cron job starts at its times, once each', () => {
  const cases: [string, CronJob, Job[], string, string | undefined, string | undefined][] = [
    ['before its first time', cronJob(), [], '08:04:59', undefined, undefined],
    ['at its first time', cronJob(), [], '08:05:00', '08:05:00', undefined],
    ['late, only the last time', cronJob(), [], '08:17:10', '08:15:00', undefined],
    [
      'started already',
      cronJob({}, { lastScheduleTime: '2026-11-28T08:05:00Z' }),
      [],
      '08:06:00',
      undefined,
      undefined,
    ],
    ['suspended', cronJob({ suspend: true }), [], '08:05:00', undefined, undefined],
    ['another runs, allowed', cronJob(), [job('a')], '08:05:00', '08:05:00', undefined],
    [
      'another runs, forbidden',
      cronJob({ concurrencyPolicy: 'Forbid' }),
      [job('a')],
      '08:05:00',
      undefined,
      'JobAlreadyActive',
    ],
    [
      'another has ended',
      cronJob({ concurrencyPolicy: 'Forbid' }),
      [job('a', 'Failed')],
      '08:05:00',
      '08:05:00',
      undefined,
    ],
    ['too late', cronJob({ startingDeadlineSeconds: 10 }), [], '08:05:11', undefined, 'MissSchedule'],
    [
      'late, in time',
      cronJob({ startingDeadlineSeconds: 10 }),
      [],
      '08:05:10',
      '08:05:10'.replace('10', '00'),
      undefined,
    ],
    ['no schedule', cronJob({ schedule: 'now and then' }), [], '08:05:00', undefined, 'UnparseableSchedule'],
    [
      'no such zone',
      cronJob({ timeZone: 'Atlantis/Town' }),
      [],
      '08:05:00',
      undefined,
      'UnparseableSchedule',
    ],
  ];
  for (const [what, object, jobs, now, start, event] of cases) {
    const plan = planCronJob(object, jobs, at(now));
    assert.deepEqual(plan.start, start === undefined ? undefined : at(start), what);
    assert.equal(plan.event?.reason, event, what);
  }
  assert.equal(planCronJob(cronJob(), [], at('08:04:59')).afterMs, 1000);
});

test('a cron job replaces what runs, and keeps a history', () => {
  const replace = cronJob({ concurrencyPolicy: 'Replace' });
  assert.deepEqual(names(planCronJob(replace, [job('a')], at('08:05:00')).remove), ['a']);
  const done = ['a', 'bb', 'ccc', 'dddd', 'eeeee'].map((name) => job(name, 'Complete'));
  const failed = ['ffffff', 'ggggggg'].map((name) => job(name, 'Failed'));
  const plan = planCronJob(cronJob(), [...done, ...failed, job('h')], at('08:01:00'));
  assert.deepEqual(names(plan.remove).sort(), ['a', 'bb', 'ffffff']);
  assert.deepEqual(
    plan.status.active?.map(({ name }) => name),
    ['h'],
  );
});

test('the job of a time is always the same', () => {
  const made = jobFor(cronJob(), at('08:05:00'));
  assert.equal(made.metadata.name, `c-${Date.parse('2026-11-28T08:05:00Z') / 60_000}`);
  assert.equal(made.metadata.ownerReferences?.[0]?.uid, 'u');
});

test('schedules are read as Kubernetes reads them', () => {
  const cases: [string, string | undefined, string][] = [
    ['0 9 * * *', undefined, '2026-11-28T09:00:00.000Z'],
    ['0 9 * * *', 'Europe/Berlin', '2026-11-29T08:00:00.000Z'],
    ['@daily', undefined, '2026-11-29T00:00:00.000Z'],
    ['0 12 ? * SAT', undefined, '2026-11-28T12:00:00.000Z'],
    // Both given: either will do.
    ['0 0 1 * 0', undefined, '2026-11-29T00:00:00.000Z'],
    ['@every 1h30m', undefined, '2026-11-28T09:00:00.000Z'],
  ];
  for (const [text, zone, next] of cases)
    assert.equal(parseSchedule(text, zone).next(at('08:05:00'))?.toISOString(), next, text);
  assert.equal(parseSchedule('0 8 * * *').last(at('08:00:00'))?.toISOString(), '2026-11-28T08:00:00.000Z');
  for (const wrong of ['TZ=UTC 0 9 * * *', '* * *', '0 0 9 * * *', '61 * * * *'])
    assert.throws(() => parseSchedule(wrong), Error, wrong);
});
