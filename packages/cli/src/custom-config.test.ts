import assert from 'node:assert/strict';
import { test } from 'node:test';
import { customConfigOf } from './custom-config.ts';

test('postgresql.conf is read as PostgreSQL reads it', () => {
  const conf = [
    '# a comment',
    '',
    'work_mem = 16MB   # more',
    "log_line_prefix='%m [%p] # '",
    'Max_Connections 50',
    "search_path = '\"it''s\", public'",
    "my.setting = 'a\\'b\\\\'",
  ].join('\n');
  assert.deepEqual(customConfigOf('c', { 'postgresql.conf': conf }).parameters, {
    work_mem: '16MB',
    log_line_prefix: '%m [%p] # ',
    max_connections: '50',
    search_path: '"it\'s", public',
    'my.setting': "a'b\\",
  });
});

for (const line of ['work_mem', "work_mem = 'open", 'work_mem = a b', "include 'other.conf'"]) {
  test(`a line is named that cannot be read: ${line}`, () => {
    const data = { 'postgresql.conf': `shared_buffers = 1GB\n${line}` };
    assert.throws(
      () => customConfigOf('c', data),
      /ConfigMap c, postgresql.conf, line 2 is not understood: \S/,
    );
  });
}

test('pg_hba.conf becomes its lines, setup.sql a reference', () => {
  const data = { 'pg_hba.conf': '# who\nhostssl all all 10.0.0.0/8 md5\n\n', 'setup.sql': 'SELECT 1' };
  assert.deepEqual(customConfigOf('c', data), {
    parameters: {},
    hba: ['hostssl all all 10.0.0.0/8 md5'],
    setupSql: { name: 'c', key: 'setup.sql' },
  });
});

test('another key is no silent nothing', () => {
  assert.throws(() => customConfigOf('c', { 'postgres.conf': '' }), /a key postgres.conf/);
  assert.throws(() => customConfigOf('c', {}), /is empty/);
});
