import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Action, Event } from './events.ts';
import { step } from './machine.ts';
import type { State } from './state.ts';
import { answers, at, leaderState, lease, primaryView, report, settings, state } from './testing.ts';
import type { PeerReport, View } from './types.ts';

const TICK: Event = { type: 'tick' };
const dead: Partial<View> = {
  process: 'stopped',
  inRecovery: undefined,
  sqlReachable: false,
  controlState: 'in production',
  replication: [],
};

/** Whom a leader whose database died names, or what it does instead; demo-2 let the Lease lie at 0. */
function next(ms: number, view: Partial<View>, ...reports: PeerReport[]): string | undefined {
  return nextOf(ms, view, {}, ...reports);
}

function nextOf(
  ms: number,
  view: Partial<View>,
  more: Partial<State>,
  ...reports: PeerReport[]
): string | undefined {
  const before = leaderState({
    view: primaryView(1, { ...dead, ...view }),
    held: { epoch: 3, t0: at(ms - 10), since: at(0), continuing: true },
    deadSince: at(ms - 10),
    viewAt: at(ms - 5),
    primaryMaybe: false,
    applied: undefined,
    tardy: { name: 'demo-2', at: at(0) },
    lastAsked: at(ms - 5),
    peers: answers(ms - 5, ...reports),
    ...more,
  });
  const { actions } = step(before, TICK, at(ms));
  for (const action of actions) {
    if (action.type === 'job') return action.job.kind;
    if (action.type === 'writeLease') return action.record.handover?.to ?? action.purpose;
  }
  return undefined;
}

describe('a successor that was named and did not take the Lease', () => {
  test('is not named again while another has as much', () => {
    assert.equal(next(1_000, {}, report(2), report(3)), 'demo-3');
  });
  test('is named again after a while', () => {
    assert.equal(next(60_000, {}, report(2), report(3)), 'demo-2');
  });
  test('is not passed over for one that has less: the leader starts in place', () => {
    assert.equal(
      next(1_000, {}, report(2), report(3, { receivedLsn: '0/F00', replayedLsn: '0/F00' })),
      'startPrimary',
    );
  });
  test('is named all the same by a leader that has no room to start', () => {
    const volumes = [{ name: 'data', level: 'full' as const, usedBytes: 9, sizeBytes: 9 }];
    const less = report(3, { receivedLsn: '0/F00', replayedLsn: '0/F00' });
    assert.equal(next(1_000, { volumes }, report(2), less), 'demo-2');
  });
  test('may still take a Lease that is released for want of data', () => {
    const less = report(3, { receivedLsn: '0/F00', replayedLsn: '0/F00' });
    assert.equal(next(1_000, { data: 'empty' }, report(2), less), 'release');
  });
  test('is noted by whoever takes the Lease instead', () => {
    const handover = { to: 'demo-2', position: '0/1000', at: '' };
    const known = lease({ holder: null, handover });
    const before = state(3, {
      lease: known,
      sight: { version: '7', since: at(0), last: at(5_000) },
      lastAsked: at(5_100),
      viewAt: at(5_100),
      election: { version: '7', since: at(5_050), opening: 'released' },
      peers: answers(
        5_100,
        report(1, { role: 'none', streaming: false }),
        report(2, { receivedLsn: '0/F00', replayedLsn: '0/F00' }),
      ),
    });
    const taking = step(before, TICK, at(5_200));
    const [write] = taking.actions.flatMap((action) => (action.type === 'writeLease' ? [action] : []));
    assert.equal(write?.purpose, 'take');
    const taken = step(
      taking.state,
      {
        type: 'leaseWritten',
        id: write!.id,
        sentAt: at(5_200),
        outcome: { kind: 'ok', version: '8', record: write!.record },
      },
      at(5_210),
    ).state;
    assert.deepEqual(taken.tardy, { name: 'demo-2', at: at(5_210) });
  });
});

describe('who streamed from a dead primary is waited for', () => {
  const died = (changed: Partial<State> = {}) =>
    leaderState({
      view: primaryView(1, dead),
      deadSince: at(0),
      viewAt: at(5),
      primaryMaybe: false,
      applied: undefined,
      streamed: ['demo-2', 'demo-3'],
      lastAsked: at(-100),
      ...changed,
    });
  const answer = (n: number, more = true): Event => ({
    type: 'peers',
    askedAt: at(10),
    answers: { [`demo-${n}`]: report(n) },
    more,
  });
  const does = (actions: Action[]) =>
    actions.flatMap((action) =>
      action.type === 'job' ? [action.job.kind] : action.type === 'writeLease' ? [action.purpose] : [],
    );

  test('the last of the answers decides, and not the end of the round', () => {
    const asked = step(died(), TICK, at(10));
    assert.deepEqual(does(asked.actions), []);
    const one = step(asked.state, answer(2), at(900));
    assert.deepEqual(does(one.actions), []);
    assert.deepEqual(does(step(one.state, answer(3), at(1_500)).actions), ['release']);
  });
  test('for two seconds at most: then it starts in place', () => {
    const asked = step(died(), TICK, at(10));
    assert.ok(asked.wakeAt <= 2_000);
    assert.deepEqual(does(step(asked.state, TICK, at(1_999)).actions), []);
    assert.equal(does(step(asked.state, TICK, at(2_000)).actions)[0], 'startPrimary');
  });
  test('who did not stream is not', () => {
    assert.deepEqual(does(step(died({ streamed: [] }), TICK, at(10)).actions), ['startPrimary']);
    const asked = step(died({ streamed: ['demo-2'] }), TICK, at(10));
    assert.deepEqual(does(step(asked.state, answer(2), at(20)).actions), ['startPrimary']);
  });
  test('without data here, whoever is a member is', () => {
    const empty = died({ streamed: [], view: primaryView(1, { ...dead, data: 'empty' }) });
    assert.deepEqual(does(step(empty, TICK, at(10)).actions), []);
  });
  test('a late answer counts more than none to a later question, and less than one to that', () => {
    const late: Event = { type: 'peers', askedAt: at(10), answers: { 'demo-2': report(2) }, more: true };
    const none = step(died({ peers: { 'demo-2': { report: null, askedAt: at(500) } } }), late, at(600)).state;
    assert.equal(none.peers['demo-2']?.report?.name, 'demo-2');
    const newer = step(died({ peers: answers(500, report(2, { receivedLsn: '0/F000' })) }), late, at(600));
    assert.equal(newer.state.peers['demo-2']?.report?.receivedLsn, '0/F000');
  });
});

describe('with failoverDelay, a leader whose database died', () => {
  const delayed = { settings: settings({ failoverDelayMs: 5_000 }) };
  test('starts in place first', () => {
    assert.equal(nextOf(61_000, {}, delayed, report(2), report(3)), 'startPrimary');
  });
  test('hands over when it could not be started for so long', () => {
    const failing = { ...delayed, failingSince: at(56_000) };
    assert.equal(nextOf(60_900, {}, failing, report(2), report(3)), 'startPrimary');
    assert.equal(nextOf(61_100, {}, failing, report(2), report(3)), 'demo-2');
  });
  test('hands over at once when it has no data', () => {
    assert.equal(nextOf(61_000, { data: 'empty' }, delayed, report(2), report(3)), 'demo-2');
  });
});
