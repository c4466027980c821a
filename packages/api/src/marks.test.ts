import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  fencedMark,
  isFenced,
  isHibernating,
  isInMaintenance,
  promoteMark,
  switchoverMark,
} from './index.ts';

const marked = (annotation: string, value: string) => ({
  metadata: { annotations: { [`pgherd.io/${annotation}`]: value } },
});

test('fenced instances are a JSON list; a star is all of them', () => {
  assert.deepEqual(fencedMark(marked('fenced', '["demo-1","demo-2"]')), ['demo-1', 'demo-2']);
  assert.equal(isFenced(marked('fenced', '["demo-1"]'), 'demo-1'), true);
  assert.equal(isFenced(marked('fenced', '["demo-1"]'), 'demo-2'), false);
  assert.equal(isFenced(marked('fenced', '["*"]'), 'demo-2'), true);
});

test('a mark that cannot be read asks nothing', () => {
  for (const value of [
    '',
    'demo-1',
    '{',
    '{}',
    '"*"',
    'null',
    '[1]',
    '{"id":1,"from":"a","to":"b","epoch":"1"}',
  ]) {
    assert.deepEqual(fencedMark(marked('fenced', value)), [], value);
    assert.equal(switchoverMark(marked('switchover', value)), undefined, value);
    assert.equal(promoteMark(marked('promote', value)), undefined, value);
  }
  assert.deepEqual(fencedMark({ metadata: {} }), []);
});

test('wishes are read', () => {
  assert.deepEqual(switchoverMark(marked('switchover', '{"id":"a","from":"x-1"}')), { id: 'a', from: 'x-1' });
  assert.deepEqual(switchoverMark(marked('switchover', '{"id":"a","from":"x-1","to":"x-2"}')), {
    id: 'a',
    from: 'x-1',
    to: 'x-2',
  });
  assert.deepEqual(promoteMark(marked('promote', '{"id":"a","to":"x-2","epoch":4}')), {
    id: 'a',
    to: 'x-2',
    epoch: 4,
  });
});

test('only the word on switches hibernation and maintenance on', () => {
  assert.equal(isHibernating(marked('hibernation', 'on')), true);
  assert.equal(isHibernating(marked('hibernation', 'off')), false);
  assert.equal(isInMaintenance(marked('maintenance', 'on')), true);
  assert.equal(isInMaintenance({ metadata: {} }), false);
});
