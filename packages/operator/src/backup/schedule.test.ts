import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ScheduledBackupSpec, ScheduledBackupStatus } from '@pgherd/api';
import { planSchedule, scheduledName } from './schedule.ts';

const at = (text: string) => Date.parse(`2026-06-${text}Z`);
const spec = (schedule: string, more: Partial<ScheduledBackupSpec> = {}): ScheduledBackupSpec => ({
  cluster: { name: 'demo' },
  schedule,
  ...more,
});

interface Case {
  what: string;
  spec: ScheduledBackupSpec;
  now: string;
  status?: ScheduledBackupStatus;
  busy?: boolean;
  make?: string;
  next?: string;
  says?: RegExp;
  obstacle?: string;
}

const DAILY = spec('0 3 * * *');

const cases: Case[] = [
  { what: 'nothing is due yet', spec: DAILY, now: '01T02:00:00', next: '01T03:00:00' },
  {
    what: 'the first time has come',
    spec: DAILY,
    now: '01T03:00:01',
    make: '01T03:00:00',
    next: '02T03:00:00',
  },
  {
    what: 'it was done already',
    spec: DAILY,
    now: '01T04:00:00',
    status: { lastScheduleTime: '2026-06-01T03:00:00Z', lastBackup: 'night-20260601030000' },
    next: '02T03:00:00',
  },
  {
    what: 'of many missed times, the last one is made up for',
    spec: spec('*/10 * * * *'),
    now: '09T12:34:00',
    status: { lastScheduleTime: '2026-06-01T03:00:00Z' },
    make: '09T12:30:00',
    next: '09T12:40:00',
  },
  {
    what: 'a schedule with seconds, after a long absence',
    spec: spec('*/5 * * * * *'),
    now: '09T12:34:03',
    status: { lastScheduleTime: '2026-06-01T03:00:00Z' },
    make: '09T12:34:00',
    next: '09T12:34:05',
  },
  {
    what: 'a time zone counts',
    spec: spec('0 3 * * *', { timeZone: 'Europe/Berlin' }),
    now: '01T01:00:30',
    make: '01T01:00:00',
    next: '02T01:00:00',
  },
  {
    what: 'a first one at once',
    spec: spec('0 3 * * *', { immediate: true }),
    now: '01T00:00:05',
    make: '01T00:00:05',
    next: '01T03:00:00',
  },
  { what: 'suspended', spec: spec('0 3 * * *', { suspend: true }), now: '01T03:00:01', says: /suspended/ },
  {
    what: 'the one before still runs',
    spec: DAILY,
    now: '02T03:00:01',
    status: { lastScheduleTime: '2026-06-01T03:00:00Z', lastBackup: 'x-1' },
    busy: true,
    next: '03T03:00:00',
    says: /left out: x-1 has not ended/,
  },
  { what: 'no schedule at all', spec: spec('61 3 * * *'), now: '01T03:00:01', says: /cannot be read/ },
  {
    what: 'no such time zone',
    spec: spec('0 3 * * *', { timeZone: 'Mars/Base' }),
    now: '01T03:00:01',
    says: /there is no time zone Mars\/Base/,
  },
  { what: 'a day that does not exist', spec: spec('0 3 30 2 *'), now: '01T03:00:01', says: /no such day/ },
  {
    what: 'what was left out is said until a later one is made',
    spec: DAILY,
    now: '02T04:00:00',
    status: { lastScheduleTime: '2026-06-02T03:00:00Z', lastBackup: 'night-20260601030000' },
    next: '03T03:00:00',
    says: /of 2026-06-02T03:00:00Z was left out: night-20260601030000 had not ended/,
  },
  {
    what: 'without a cluster nothing is ticked off',
    spec: spec('0 3 * * *', { immediate: true }),
    now: '01T03:00:05',
    obstacle: 'there is no cluster demo',
    next: '02T03:00:00',
    says: /there is no cluster demo/,
  },
  { what: 'a word', spec: spec('@daily'), now: '01T03:00:01', next: '02T00:00:00' },
];

for (const { what, spec: given, now, status, busy = false, make, next, says, obstacle } of cases) {
  test(`schedule: ${what}`, () => {
    const step = planSchedule({
      now: at(now),
      created: at('01T00:00:00'),
      spec: given,
      status,
      busy,
      name: 'night',
      ...(obstacle ? { obstacle } : {}),
    });
    if (obstacle) assert.equal(step.status.lastScheduleTime, undefined);
    assert.equal(step.make, make && at(make));
    assert.equal(step.status.nextScheduleTime, next && `2026-06-${next}Z`);
    if (says) assert.match(step.status.message ?? '', says);
    else assert.equal(step.status.message, undefined);
    if (make) assert.equal(step.status.lastScheduleTime, `2026-06-${make}Z`);
  });
}

test('a backup is named after its time', () => {
  assert.equal(scheduledName('night', at('01T03:00:00')), 'night-20260601030000');
});

const zoned = (schedule: string, created: string, now: string) =>
  planSchedule({
    now: Date.parse(now),
    created: Date.parse(created),
    spec: spec(schedule, { timeZone: 'Europe/Berlin' }),
    status: undefined,
    busy: false,
    name: 'night',
  });

test('an hour that the clocks skip: it is made all the same, once', () => {
  // On 29 March 2026, 02:00 becomes 03:00 in Berlin (01:00 UTC).
  const step = zoned('30 2 * * *', '2026-03-28T12:00:00Z', '2026-03-29T12:00:00Z');
  assert.ok(step.make, 'nothing was made that day');
  assert.equal(new Date(step.make).toISOString().slice(0, 10), '2026-03-29');
  assert.equal(step.status.nextScheduleTime, '2026-03-30T00:30:00Z');
});

test('an hour that comes twice counts once', () => {
  // On 25 October 2026, 03:00 becomes 02:00 in Berlin (01:00 UTC).
  const first = zoned('30 2 * * *', '2026-10-24T12:00:00Z', '2026-10-25T00:30:01Z');
  assert.equal(first.make, Date.parse('2026-10-25T00:30:00Z'));
  assert.equal(first.status.nextScheduleTime, '2026-10-26T01:30:00Z');
});
