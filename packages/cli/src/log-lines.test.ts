import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineSplitter, readableLine } from './log-lines.ts';

test('lines are cut across chunks, also in the middle of a character', () => {
  const bytes = Buffer.from('one\ntwö\nthree');
  const lines = new LineSplitter();
  const cut = bytes.indexOf('ö') + 1;
  assert.deepEqual(lines.push(bytes.subarray(0, cut)), ['one']);
  assert.deepEqual(lines.push(bytes.subarray(cut)), ['twö']);
  assert.deepEqual(lines.end(), ['three']);
});

test('a JSON line reads as time, level, message and what else it has', () => {
  const line = JSON.stringify({ level: 30, time: 0, msg: 'promoted', pid: 7, timeline: 2, why: { a: 1 } });
  assert.equal(readableLine(line), '00:00:00.000 INFO  promoted timeline=2 why={"a":1}');
});

test('anything else stays as it is', () => {
  assert.equal(readableLine('LOG:  ready'), 'LOG:  ready');
  assert.equal(readableLine('{broken'), '{broken');
});
