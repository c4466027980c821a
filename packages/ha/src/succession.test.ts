import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Event } from './events.ts';
import { step } from './machine.ts';
import { answers, at, leaderState, lease, primaryView, report, state } from './testing.ts';
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
