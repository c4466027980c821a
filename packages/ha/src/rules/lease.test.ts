/** Whose the Lease is, and when a holder is certainly dead: every rule by its cases. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES } from '../rules.ts';
import type { State } from '../state.ts';
import { at, leaderState, pod, record, settings, standbyView, state } from '../testing.ts';
import type { LeaseRecord } from '../types.ts';

describe('1: the Lease', () => {
  const holds: [string, number, number, boolean][] = [
    ['at once', 0, 0, true],
    ['just before the end', 5_999, 5_999, true],
    ['at the end', 6_000, 6_000, false],
    ['the wall clock says that more has passed', 100, 6_000, false],
    ['the monotonic clock says that more has passed (the wall clock was set back)', 6_000, -50_000, false],
  ];
  for (const [name, mono, wall, expected] of holds)
    test(`leadershipHolds: ${name}`, () => {
      assert.equal(RULES.leadershipHolds({ mono: 0, wall: 0 }, settings(), { mono, wall }), expected);
    });

  const sight = { version: '7', since: at(0), last: at(8_000) };
  const silence: [string, State['sight'], string, number, number][] = [
    ['nothing seen before: from now', undefined, '7', 9_000, 9_000],
    ['the same version: as before', sight, '7', 9_000, 0],
    ['another version: from now', sight, '8', 9_000, 9_000],
    ['a gap between the reads: from now', sight, '7', 13_001, 13_001],
  ];
  for (const [name, seen, version, now, expected] of silence)
    test(`silenceBegins: ${name}`, () => {
      assert.equal(RULES.silenceBegins(seen, version, settings(), at(now)).mono, expected);
    });

  const silent: [string, { mono: number; wall: number }, string, boolean][] = [
    ['not yet', at(9_999), '7', false],
    ['long enough', at(10_000), '7', true],
    ['the wall clock jumped ahead', { mono: 100, wall: 1_900_000 }, '7', false],
    ['the wall clock was set back', { mono: 10_000, wall: 145_000 }, '7', true],
    ['the monotonic clock stood still', { mono: 9_000, wall: 1_900_000 }, '7', false],
    ['of another version', at(10_000), '8', false],
  ];
  for (const [name, now, version, expected] of silent)
    test(`isSilent: ${name}`, () => {
      assert.equal(
        RULES.isSilent({ version: '7', since: at(0), last: at(0) }, version, settings(), now),
        expected,
      );
    });

  test('isGenuine: never below an epoch that was seen', () => {
    assert.equal(RULES.isGenuine(record({ epoch: 3 }), 3), true);
    assert.equal(RULES.isGenuine(record({ epoch: 2 }), 3), false);
  });

  test('isHeldBy: a manager, not a pod', () => {
    assert.equal(RULES.isHeldBy(record(), 'uid-1/1'), true);
    assert.equal(RULES.isHeldBy(record(), 'uid-1/2'), false);
  });
});

describe('3: certain death', () => {
  const dead: [string, Partial<LeaseRecord>, State['pods'], boolean][] = [
    ['the recorded container is terminated', {}, [pod(1, { terminated: ['c-1'] })], true],
    ['an earlier container is terminated', {}, [pod(1, { terminated: ['c-0'] })], false],
    ['the same container ID in another pod', {}, [pod(1, { uid: 'uid-9', terminated: ['c-1'] })], false],
    ['the pod is gone', {}, [pod(2), pod(3)], false],
    ['the pod is being deleted', {}, [pod(1, { deleting: true })], false],
    [
      'the holder has recorded no container',
      { leader: { name: 'demo-1', podUID: 'uid-1', address: '10.0.0.1' } },
      [pod(1, { terminated: ['c-1'] })],
      false,
    ],
    [
      'the holder is another than the recorded leader',
      { holder: 'uid-2/1' },
      [pod(1, { terminated: ['c-1'] })],
      false,
    ],
    ['nobody holds it', { holder: null }, [pod(1, { terminated: ['c-1'] })], false],
  ];
  for (const [name, changed, pods, expected] of dead)
    test(`isCertainlyDead: ${name}`, () => {
      assert.equal(RULES.isCertainlyDead(record(changed), pods), expected);
    });

  const predecessor: [string, Partial<State>, string | null, boolean][] = [
    ['another start in our pod', {}, 'uid-2/0', true],
    ['ourselves, after we lost it and died', {}, 'uid-2/1', true],
    ['our database may live', { primaryMaybe: true }, 'uid-2/0', false],
    ['death is not certain yet', { deathNeeded: true }, 'uid-2/0', false],
    ['another pod', {}, 'uid-1/1', false],
    ['a pod whose UID begins like ours', {}, 'uid-22/1', false],
    ['nobody', {}, null, false],
  ];
  for (const [name, changed, holder, expected] of predecessor)
    test(`isOurPredecessor: ${name}`, () => {
      assert.equal(RULES.isOurPredecessor(record({ holder }), state(2, changed)), expected);
    });

  test('mayRelease: only once nothing lives and nothing is being done', () => {
    assert.equal(RULES.mayRelease(state(1)), true);
    assert.equal(RULES.mayRelease(state(1, { primaryMaybe: true })), false);
    assert.equal(RULES.mayRelease(state(1, { deathNeeded: true })), false);
    assert.equal(RULES.mayRelease(state(1, { job: { id: 1, job: { kind: 'claim' }, since: at(0) } })), false);
  });

  const primaryData = { process: 'stopped' as const, controlState: 'in production' };
  test('mayContinueAsPrimary: only data of a primary that nobody led after', () => {
    const as = (continuing: boolean, controlState: string) =>
      RULES.mayContinueAsPrimary(
        leaderState({
          held: { epoch: 3, t0: at(0), since: at(0), continuing },
          view: standbyView(1, { ...primaryData, controlState }),
        }),
      );
    assert.equal(as(true, 'in production'), true);
    assert.equal(as(true, 'shut down'), true);
    assert.equal(as(true, 'in archive recovery'), false);
    assert.equal(as(true, 'shut down in recovery'), false);
    assert.equal(as(false, 'in production'), false);
  });
});
