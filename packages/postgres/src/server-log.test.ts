import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogParser, type LogRecord, plainLine } from './server-log.ts';

const prefix = (pid: number, state = '00000', user = '') =>
  `\x1e2026-01-02 03:04:05.678 UTC\x1f${pid}\x1f${state}\x1f${user}\x1f\x1f\x1f\x1f`;

function parse(lines: string[]): LogRecord[] {
  const records: LogRecord[] = [];
  const parser = new LogParser((record) => records.push(record));
  for (const line of lines) parser.line(line);
  parser.flush();
  return records;
}

test('an error with its statement is one record', () => {
  const records = parse([
    `${prefix(7, '42P01', 'app')}ERROR:  relation "x" does not exist at character 15`,
    `${prefix(7, '42P01', 'app')}STATEMENT:  select *`,
    '\tfrom x;',
    `${prefix(8)}LOG:  checkpoint starting: time`,
  ]);
  assert.deepEqual(records, [
    {
      time: '2026-01-02T03:04:05.678Z',
      pid: 7,
      severity: 'ERROR',
      sqlState: '42P01',
      user: 'app',
      message: 'relation "x" does not exist at character 15',
      statement: 'select *\nfrom x;',
    },
    { time: '2026-01-02T03:04:05.678Z', pid: 8, severity: 'LOG', message: 'checkpoint starting: time' },
  ]);
});

test('lines without our prefix are kept', () => {
  const records = parse([
    '2026-01-02 03:04:05 UTC [1] FATAL:  could not create lock file',
    'Segmentation fault',
  ]);
  assert.deepEqual(records, [
    { severity: 'FATAL', message: 'could not create lock file' },
    { severity: 'LOG', message: 'Segmentation fault' },
  ]);
});

test('a line for people has no marks', () => {
  assert.equal(plainLine(`${prefix(7)}FATAL:  no`), 'FATAL:  no');
  assert.equal(plainLine('plain'), 'plain');
});
