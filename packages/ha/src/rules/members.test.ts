/** Members and commit rules: every rule by its cases. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPromotedByHand } from '../positions.ts';
import { RULES } from '../rules.ts';
import type { State } from '../state.ts';
import {
  ANY_1,
  leaderState,
  pod,
  primaryView,
  record,
  report,
  row,
  settings,
  standbyView,
  state,
} from '../testing.ts';
import type { CommitRule, LeaseRecord, Settings, View } from '../types.ts';

describe('5, 6: members and commit rules', () => {
  test('mayApply: only what is recorded', () => {
    assert.equal(RULES.mayApply(ANY_1, record()), true);
    assert.equal(RULES.mayApply({ ...ANY_1, number: 2 }, record()), false);
    assert.equal(RULES.mayApply({ ...ANY_1, required: false }, record()), false);
  });

  const text = 'ANY 1 ("demo-2", "demo-3")';
  const drop: [string, Partial<State>, CommitRule, boolean][] = [
    ['in force, and enough have what was acknowledged before', {}, ANY_1, true],
    ['not in force', { applied: '' }, ANY_1, false],
    ['not observed since', { mark: undefined }, ANY_1, false],
    ['too few have it', { mark: '0/2000' }, ANY_1, false],
    [
      'one of two has it',
      { mark: '0/2000', view: primaryView(1, { replication: [row('demo-2', '0/2000')] }) },
      ANY_1,
      true,
    ],
    [
      'one that joins does not count',
      { view: primaryView(1, { replication: [row('demo-2.joining')] }) },
      ANY_1,
      false,
    ],
    ['not required: nothing was promised', { mark: undefined }, { ...ANY_1, required: false }, true],
  ];
  for (const [name, changed, rule, expected] of drop)
    test(`mayDropOthers: ${name}`, () => {
      assert.equal(RULES.mayDropOthers(rule, text, leaderState(changed)), expected);
    });

  const join: [string, Partial<State>, boolean][] = [
    ['it has what we had', { view: primaryView(1, { replication: [row('demo-2.joining')] }) }, true],
    ['it is behind', { view: primaryView(1, { replication: [row('demo-2.joining', '0/FF0')] }) }, false],
    [
      'it does not stream',
      { view: primaryView(1, { replication: [row('demo-2.joining', '0/1000', { state: 'catchup' })] }) },
      false,
    ],
    [
      'another bears the name',
      { view: primaryView(1, { replication: [row('demo-2.joining'), row('demo-2')] }) },
      false,
    ],
    ['nothing was noted of it', { joining: {} }, false],
    [
      'its volume has changed meanwhile',
      { joining: { 'demo-2': { incarnation: 'old', mark: '0/1000' } } },
      false,
    ],
    ['it is to be removed', { pods: [pod(1), pod(2, { leaving: true })] }, false],
  ];
  for (const [name, changed, expected] of join)
    test(`mayBecomeMember: ${name}`, () => {
      const own = leaderState({
        joining: { 'demo-2': { incarnation: 'inc-2', mark: '0/1000' } },
        view: primaryView(1, { replication: [row('demo-2.joining')] }),
        ...changed,
      });
      assert.equal(RULES.mayBecomeMember(own, 'demo-2', report(2)), expected);
    });

  const before: Partial<LeaseRecord> = { timeline: 2, settled: { epoch: 3, parent: 1, start: '0/1000' } };
  const ahead: Partial<LeaseRecord> = { settled: { epoch: 3, parent: 1, start: '0/1000' } };
  const down: Partial<View> = { process: 'stopped', inRecovery: undefined, streaming: false };
  const histories: [string, Partial<LeaseRecord>, Partial<View>, boolean][] = [
    ["streams on the leader's timeline", {}, {}, true],
    ["is on the leader's timeline, but does not stream", {}, { streaming: false }, false],
    ['the leader has not said yet where it writes', { settled: { epoch: 2 } }, {}, false],
    ['nobody leads', { holder: null }, {}, false],
    ['ends where the new timeline began', before, { receivedLsn: '0/1000', replayedLsn: '0/1000' }, true],
    ['ends where the new timeline will begin', ahead, { streaming: false }, true],
    ['has more than the leader that is to be promoted', ahead, { receivedLsn: '0/1008' }, false],
    ['went beyond the fork', before, { receivedLsn: '0/1008', replayedLsn: '0/1000' }, false],
    ['does not know how far it is', before, { receivedLsn: undefined, replayedAll: false }, false],
    [
      'missed a timeline between',
      { ...before, timeline: 3, settled: { epoch: 3, parent: 2, start: '0/9000' } },
      {},
      false,
    ],
    [
      'stopped in order before the fork',
      before,
      { ...down, controlState: 'shut down', checkpointLsn: '0/FF0' },
      true,
    ],
    [
      'stopped in order after the fork',
      before,
      { ...down, controlState: 'shut down', checkpointLsn: '0/1000' },
      false,
    ],
    ['crashed', before, { ...down, controlState: 'in production', checkpointLsn: '0/FF0' }, false],
  ];
  for (const [name, changed, view, expected] of histories)
    test(`historyIsTheLeaders: ${name}: ${expected}`, () => {
      assert.equal(
        RULES.historyIsTheLeaders(
          record(changed),
          state(2, { view: standbyView(2, { timeline: 1, ...view }) }),
        ),
        expected,
      );
    });

  const parted: [string, Partial<LeaseRecord>, Partial<View>, boolean][] = [
    ['beyond the fork', before, { receivedLsn: '0/1008' }, true],
    ['up to the fork', before, {}, false],
    [
      "on a timeline between the parent's and the leader's",
      { ...before, timeline: 5 },
      { timeline: 3 },
      true,
    ],
    ['beyond it, but proven before', before, { receivedLsn: '0/1008', incarnation: 'proven' }, false],
    ["on the leader's timeline", { ...before, timeline: 1 }, { timeline: 2, receivedLsn: '0/2000' }, false],
    ['the leader has not said yet where it began', { ...before, settled: { epoch: 2 } }, {}, false],
    ['it does not know how far it is', before, { receivedLsn: undefined, replayedAll: false }, false],
  ];
  for (const [name, changed, view, expected] of parted)
    test(`hasParted: ${name}: ${expected}`, () => {
      const proven = view.incarnation === 'proven' ? { proven: 3 } : {};
      const own = state(2, { view: standbyView(2, view), ...proven });
      assert.equal(RULES.hasParted(record(changed), own), expected);
    });
  test('hasParted: promoted by hand, whatever was proven before', () => {
    const own = state(2, { proven: 3, promotedByHand: true });
    assert.equal(RULES.hasParted(record(), own), true);
    assert.equal(RULES.hasParted(record({ holder: null }), own), false);
  });
  test('promoted by hand, as the volume says: believed of all but who led last', () => {
    const view = standbyView(2, { promotedByHand: true });
    const own = state(2, { proven: 3, view });
    assert.equal(RULES.hasParted(record(), own), true);
    assert.equal(RULES.historyIsTheLeaders(record(), own), false);
    assert.equal(RULES.historyIsTheLeaders(record(), state(2, { view: standbyView(2) })), true);
    const leader = { ...record().leader!, name: 'demo-2' };
    const led = state(2, { view, lease: { version: '1', record: record({ leader }) } });
    assert.equal(isPromotedByHand(led), false);
    assert.equal(isPromotedByHand(state(2, { view, lease: { version: '1', record: record() } })), true);
  });

  const without3 = settings({ instanceNames: ['demo-1', 'demo-2'] });
  const alone = primaryView(1, { replication: [row('demo-2')] });
  const leave: [string, Partial<State>, Settings, string, boolean][] = [
    ['wanted', {}, settings(), 'demo-3', false],
    ['marked as leaving', { pods: [pod(1), pod(3, { leaving: true })] }, settings(), 'demo-3', true],
    [
      'not listed, no pod, does not stream',
      { pods: [pod(1), pod(2)], view: alone },
      without3,
      'demo-3',
      true,
    ],
    ['not listed, but its pod is there', { view: alone }, without3, 'demo-3', false],
    ['not listed, but it streams', { pods: [pod(1), pod(2)] }, without3, 'demo-3', false],
    ['gone, but listed', { pods: [pod(1), pod(2)], view: alone }, settings(), 'demo-3', false],
    [
      'the operator has listed nothing',
      { pods: [pod(1)], view: alone },
      settings({ instanceNames: undefined }),
      'demo-3',
      false,
    ],
    ['the pods are not known yet', { pods: [], view: alone }, without3, 'demo-3', false],
    ['never ourselves', { pods: [pod(1, { leaving: true })] }, settings(), 'demo-1', false],
  ];
  for (const [name, changed, wishes, member, expected] of leave)
    test(`mayDropMember: ${name}`, () => {
      assert.equal(RULES.mayDropMember(leaderState(changed), wishes, member), expected);
    });
});
