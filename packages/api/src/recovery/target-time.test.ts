import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTargetTime } from './target-time.ts';

const GOOD: [string, string, boolean][] = [
  ['2026-11-28T10:30:00Z', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 12:30:00+02', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 12:30:00 +02:00', '2026-11-28 10:30:00+00', false],
  ['2026-11-28T05:00:00-0530', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 10:30:00 UTC', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 10:30:00', '2026-11-28 10:30:00+00', true],
  ['2026-11-28 10:30', '2026-11-28 10:30:00+00', true],
  ['2026-11-28 10:30:23.014783+00', '2026-11-28 10:30:23.014783+00', false],
  ['2026-11-28T10:30:23.5Z', '2026-11-28 10:30:23.500000+00', false],
  ['2026-03-01 00:30:00+01', '2026-02-28 23:30:00+00', false],
  ['2026-11-28 11:30:00 Europe/Berlin', '2026-11-28 10:30:00+00', false],
  ['2026-06-28 12:30:00.5 Europe/Berlin', '2026-06-28 10:30:00.500000+00', false],
  ['2026-11-28T05:30:00 America/New_York', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 16:15 Asia/Kathmandu', '2026-11-28 10:30:00+00', false],
  ['2026-11-28 00:15 Pacific/Chatham', '2026-11-27 10:30:00+00', false],
  [' 2024-02-29T00:00:00z ', '2024-02-29 00:00:00+00', false],
];

for (const [text, expected, assumedUtc] of GOOD)
  test(`'${text}' is ${expected}`, () => {
    const time = parseTargetTime(text);
    assert.equal(time.text, expected);
    assert.equal(time.assumedUtc, assumedUtc);
    assert.equal(new Date(time.ms).toISOString().slice(0, 19), expected.slice(0, 19).replace(' ', 'T'));
  });

for (const text of [
  '',
  'now',
  'yesterday',
  '2026-11-28',
  '10:30:00',
  '2026-02-30 10:00:00Z',
  '2026-11-28 24:30:00Z',
  '2026-11-28 10:61:00Z',
  '2026-11-28 10:30:00 CET',
  '2026-11-28 10:30:00+15',
  '28.11.2026 10:30',
  '2026-11-28 10:30 Europe/Atlantis',
  '2026-03-29 02:30 Europe/Berlin',
  '2026-10-25 02:30 Europe/Berlin',
  '2026-11-28 10:30:00Z; drop table',
])
  test(`'${text}' is refused`, () => {
    assert.throws(() => parseTargetTime(text), { code: 'BadTime' });
  });
