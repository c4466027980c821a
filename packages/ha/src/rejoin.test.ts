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
  test('keeps its data, and runs with them, while its leader lets nobody copy', () => {
    const before = waiting({ ...rung('copy'), peers: answers(5_900, leaderReport(1)) });
    const wiping = step(before, TICK, at(6_000));
    assert.deepEqual(jobs(wiping), ['wipe']);
    const failed: Event = {
      type: 'jobFailed',
      id: wiping.state.job!.id,
      code: 'SqlUnreachable',
      message: 'not permitted to log in',
      seen: { startedAt: at(6_010), view: before.view! },
    };
    assert.deepEqual(jobs(step(wiping.state, failed, at(6_020))), ['startStandby']);
  });
  test('tries that less and less often', () => {
    const first = step(waiting(), TICK, at(6_000)).state;
    assert.deepEqual(first.retries.runAgain, { count: 1, notBefore: at(6_200) });
    const later = waiting({ retries: { runAgain: { count: 9, notBefore: at(50_000) } } });
    assert.deepEqual(jobs(step(later, TICK, at(49_000))), []);
    assert.deepEqual(jobs(step(later, TICK, at(50_000))), ['startStandby']);
  });
});

describe('a standby that replays what it has of its own', () => {
  /** Looked at every second for so long; what it was told last. */
  function after(
    seconds: number,
    view: (second: number) => Partial<View>,
  ): { told: string[]; rung?: string } {
    let now = state(2, { peers: answers(0, leaderReport(1)), lastAsked: at(0), proven: 3 });
    const told: string[] = [];
    for (let second = 0; second <= seconds; second++) {
      const seen = standbyView(2, { streaming: false, receivedLsn: undefined, ...view(second) });
      now = { ...now, peers: answers(second * 1_000, leaderReport(1)) };
      const next = step(
        now,
        { type: 'observed', startedAt: at(second * 1_000), view: seen },
        at(second * 1_000),
      );
      told.push(...jobs(next));
      if (told.length > 0) return { told, rung: next.state.rejoin!.rung };
      now = next.state;
    }
    return { told };
  }
  const starting: Partial<View> = { process: 'starting', sqlReachable: false, inRecovery: undefined };

  test('is left alone as long as it gets on, before it is up and after', () => {
    const file = (n: number) => `00000001000000000000000${Math.floor(n / 40) % 10}`;
    assert.deepEqual(
      after(300, (n) => ({ ...starting, recovering: file(n) })),
      { told: [] },
    );
    const lsn = (n: number) => `0/${(n + 16).toString(16)}000`;
    assert.deepEqual(
      after(300, (n) => ({ replayedAll: false, replayedLsn: lsn(n) })),
      { told: [] },
    );
  });
  test('stands still for a minute: then something else is tried', () => {
    const still = { ...starting, recovering: '000000010000000000000005' };
    assert.deepEqual(
      after(59, () => still),
      { told: [] },
    );
    assert.deepEqual(
      after(60, () => still),
      { told: ['stop'], rung: 'rewind' },
    );
    // It looks for WAL that is not there, and names no file now and then.
    const inVain = (n: number) => (n % 3 === 1 ? starting : still);
    assert.deepEqual(after(59, inVain), { told: [] });
    assert.deepEqual(after(60, inVain), { told: ['stop'], rung: 'rewind' });
  });
  test('has replayed all and does not stream: ten seconds', () => {
    assert.deepEqual(
      after(9, () => ({})),
      { told: [] },
    );
    assert.deepEqual(
      after(10, () => ({})),
      { told: ['stop'], rung: 'rewind' },
    );
  });
});

test('a standby that streams says so when its replay has stood for a minute', () => {
  let now = state(2, { peers: answers(0, leaderReport(1)), proven: 3 });
  const told = (second: number, receivedLsn: string, replayedLsn: string): string | undefined => {
    const view = standbyView(2, { receivedLsn, replayedLsn });
    now = step(now, { type: 'observed', startedAt: at(second * 1_000), view }, at(second * 1_000)).state;
    return now.waiting?.what;
  };
  assert.equal(told(0, '0/5000', '0/5000'), undefined);
  assert.equal(told(100, '0/5000', '0/5000'), undefined, 'nothing was written');
  assert.equal(told(101, '0/6000', '0/5000'), undefined);
  assert.equal(told(160, '0/7000', '0/5000'), undefined);
  assert.match(told(161, '0/7000', '0/5000') ?? '', /^its replay, which stands at 0\/5000/);
  assert.equal(told(162, '0/7000', '0/5800'), undefined, 'it gets on');
});
