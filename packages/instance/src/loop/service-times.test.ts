import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initialState, type State } from '@pgherd/ha';
import { ServiceTimes } from './service-times.ts';

const at = { mono: 0, wall: 0 };
const state = (more: object): State =>
  ({
    ...initialState({ name: 'demo-1', podUID: 'u', identity: 'u/1', address: '10.0.0.1' }),
    held: { epoch: 2, t0: at, since: at, continuing: false },
    view: { process: 'running', inRecovery: false },
    routed: { epoch: 2, at },
    ...more,
  }) as unknown as State;

test('service begins when the primary runs and is routed to, and ends when its stop begins', () => {
  const times = new ServiceTimes();
  times.watch(state({ routed: undefined }), 1_000);
  assert.equal(times.report, undefined);
  times.watch(state({}), 2_000);
  times.watch(state({}), 3_000);
  assert.deepEqual(times.report, { since: '1970-01-01T00:00:02.000Z' });
  times.watch(state({ job: { id: 1, job: { kind: 'stop', fastMs: 1, immediateMs: 1 }, since: at } }), 4_000);
  assert.deepEqual(times.report, { until: '1970-01-01T00:00:04.000Z' });
  times.watch(state({ held: undefined }), 5_000);
  assert.deepEqual(times.report, { until: '1970-01-01T00:00:04.000Z' });
});

test('a route of an earlier leadership counts for nothing', () => {
  const times = new ServiceTimes();
  times.watch(state({ routed: { epoch: 1, at } }), 1_000);
  assert.equal(times.report, undefined);
});
