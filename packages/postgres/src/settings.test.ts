import assert from 'node:assert/strict';
import { test } from 'node:test';
import { conninfo, quoteSetting, renderSettings } from './settings.ts';

test('values are quoted so that PostgreSQL reads back what was meant', () => {
  assert.equal(quoteSetting('plain'), "'plain'");
  assert.equal(quoteSetting("it's"), "'it''s'");
  assert.equal(quoteSetting('back\\slash'), "'back\\\\slash'");
  assert.equal(quoteSetting('two\nlines'), "'two lines'");
});

test('a name that could smuggle in a line is left out', () => {
  const text = renderSettings({ work_mem: '4MB', 'x = 1\nfsync': 'off', 'pg_stat_statements.max': '1' });
  assert.match(text, /^work_mem = '4MB'$/m);
  assert.match(text, /^pg_stat_statements\.max = '1'$/m);
  assert.doesNotMatch(text, /fsync/);
});

test('connection strings', () => {
  assert.equal(conninfo({ host: 'a', port: 5432, gone: undefined }), "host='a' port='5432'");
  assert.equal(conninfo({ password: "it's \\ it" }), "password='it\\'s \\\\ it'");
});
