import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changes, fullProgram } from './nft.ts';
import type { ServicePortTable } from './services.ts';

const row = (clusterIP: string, ...backends: string[]): ServicePortTable => ({
  service: 'a/b',
  clusterIP,
  protocol: 'tcp',
  port: 5432,
  portName: '',
  backends,
});

test('what is in force already is not written again', () => {
  const table = [row('10.96.0.20', '10.244.1.2:5432')];
  const { next } = fullProgram(table);
  assert.equal(changes(next, table).script, '');
});

test('another backend replaces the rule of its service only', () => {
  const { next } = fullProgram([row('10.96.0.20', '10.244.1.2:5432'), row('10.96.0.21', '10.244.1.3:5432')]);
  const { script } = changes(next, [
    row('10.96.0.20', '10.244.2.2:5432'),
    row('10.96.0.21', '10.244.1.3:5432'),
  ]);
  assert.match(script, /flush chain ip pgherd s_10_96_0_20_tcp_5432/);
  assert.match(script, /dnat to 10\.244\.2\.2:5432/);
  assert.doesNotMatch(script, /10_96_0_21/);
});

test('several backends are chosen from at random', () => {
  const { script } = fullProgram([row('10.96.0.20', '10.244.1.2:5432', '10.244.2.2:5432')]);
  assert.match(script, /numgen random mod 2 map { 0 : 10\.244\.1\.2 \. 5432, 1 : 10\.244\.2\.2 \. 5432 }/);
});

test('a service that lost its last backend, or is gone, is translated no more', () => {
  const { next } = fullProgram([row('10.96.0.20', '10.244.1.2:5432')]);
  for (const table of [[row('10.96.0.20')], []]) {
    const { script } = changes(next, table);
    assert.match(script, /delete element ip pgherd services { 10\.96\.0\.20 \. tcp \. 5432 }/);
    assert.match(script, /delete chain ip pgherd s_10_96_0_20_tcp_5432/);
  }
});
