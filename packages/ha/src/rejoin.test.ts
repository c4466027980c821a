import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Event, Job } from './events.ts';
import { type Step, step } from './machine.ts';
import type { State } from './state.ts';
import { answers, at, leaderReport, lease, standbyView, state } from './testing.ts';
import type { View } from './types.ts';

const TICK: Event = { type: 'tick' };
const jobs = ({ actions }: Step): Job['kind'][] =>
  actions.flatMap((action) => (action.type === 'job' ? [action.job.kind] : []));

/** demo-2, stopped to be rewound, its leader last heard of at 0. */
function waiting(changed: Partial<State> = {}, view: Partial<View> = {}): State {
  return state(2, {
    view: standbyView(2, { process: 'stopped', sqlReachable: false, streaming: false, ...view }),
    following: undefined,
    peers: answers(0, leaderReport(1)),
    rejoin: { epoch: 3, rung: 'rewind', rewinds: 0, copies: 0, since: at(0), unprovenSince: at(4_000) },
    ...changed,
  });
}

describe('a standby that is stopped for a rewind or a copy', () => {
  const rung = (to: 'rewind' | 'copy'): Partial<State> => ({
    rejoin: { ...waiting().rejoin!, rung: to },
  });
  for (const to of ['rewind', 'copy'] as const)
    test(`${to}: runs again once its leader has not proven itself for a while`, () => {
      assert.deepEqual(jobs(step(waiting(rung(to)), TICK, at(5_900))), []);
      const again = step(waiting(rung(to)), TICK, at(6_000));
      assert.deepEqual(jobs(again), ['startStandby']);
      assert.equal(again.state.rejoin?.rung, 'follow');
    });
  test('runs again where nobody leads', () => {
    assert.deepEqual(jobs(step(waiting({ lease: lease({ holder: null }) }), TICK, at(6_000))), [
      'startStandby',
    ]);
  });
  test('goes on while its leader proves itself', () => {
    const next = step(waiting({ peers: answers(5_900, leaderReport(1)) }), TICK, at(6_000));
    assert.deepEqual(jobs(next), ['rewind']);
    assert.equal(next.state.rejoin?.unprovenSince, undefined);
  });
  test('never starts what an interrupted rewind has left', () => {
    assert.deepEqual(jobs(step(waiting({}, { data: 'damaged' }), TICK, at(60_000))), []);
  });
  test('tries that less and less often', () => {
    const first = step(waiting(), TICK, at(6_000)).state;
    assert.deepEqual(first.retries.runAgain, { count: 1, notBefore: at(6_200) });
    const later = waiting({ retries: { runAgain: { count: 9, notBefore: at(50_000) } } });
    assert.deepEqual(jobs(step(later, TICK, at(49_000))), []);
    assert.deepEqual(jobs(step(later, TICK, at(50_000))), ['startStandby']);
  });
});
