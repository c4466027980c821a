/** Every rule of leadership, by its cases. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Position } from './lsn.ts';
import { HANDOVER_MS, RULES } from './rules.ts';
import type { KnownLease, State } from './state.ts';
import {
  ANY_1,
  answers,
  at,
  leaderReport,
  leaderState,
  lease,
  pod,
  primaryView,
  record,
  report,
  row,
  settings,
  standbyView,
  state,
} from './testing.ts';
import type { CommitRule, LeaseRecord, PeerReport, Settings, Verdict, View } from './types.ts';

/** The text of a refusal, or undefined for yes. */
const refusal = (verdict: Verdict) => (verdict.ok ? undefined : verdict.why);
const here = (lsn = 0x1000n, timeline = 1): Position => ({ timeline, lsn });

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

describe('1, 3: may we take the Lease?', () => {
  const ended = [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)];
  const handover = (to: string) => ({ to, position: '0/1000', at: '' });
  const openings: [string, Partial<LeaseRecord>, Partial<State>, number, string | undefined][] = [
    ['held and renewed', {}, {}, 5_000, undefined],
    ['silent', {}, {}, 10_000, 'silent'],
    ['its holder is dead', {}, { pods: ended }, 10, 'dead'],
    ['our predecessor holds it', { holder: 'uid-2/0' }, {}, 10, 'mine'],
    ['released', { holder: null }, {}, 10, 'released'],
    ['handed to us', { holder: null, handover: handover('demo-2') }, {}, 10, 'handover'],
    ['handed to another', { holder: null, handover: handover('demo-3') }, {}, HANDOVER_MS - 1, undefined],
    [
      'handed to another that does not come',
      { holder: null, handover: handover('demo-3') },
      {},
      HANDOVER_MS,
      'released',
    ],
    ['made anew: released is no reason', { holder: null, epoch: 0 }, {}, 10, undefined],
    ['made anew: death is no reason', { epoch: 2 }, { pods: ended }, 10, undefined],
    ['made anew: silence for the full time', { holder: null, epoch: 0 }, {}, 10_000, 'silent'],
    [
      'silence seen of another version',
      {},
      { sight: { version: '6', since: at(0), last: at(0) } },
      20_000,
      undefined,
    ],
    ['no reads have succeeded', {}, { sight: undefined }, 20_000, undefined],
  ];
  for (const [name, changed, own, now, expected] of openings)
    test(`opening: ${name}`, () => {
      assert.equal(RULES.opening(lease(changed), state(2, own), settings(), at(now)), expected);
    });

  test('mayPassOverTheNamed: counted from our own first sight', () => {
    const known: KnownLease = lease({ holder: null, handover: handover('demo-3') });
    assert.equal(RULES.mayPassOverTheNamed(known, state(2), { mono: 4_999, wall: 9_000_000 }), false);
    assert.equal(RULES.mayPassOverTheNamed(lease({ holder: null }), state(2), at(0)), true);
  });

  const stand: [string, Partial<LeaseRecord>, Partial<State>, Partial<Settings>, RegExp | undefined][] = [
    ['a recorded standby', {}, {}, {}, undefined],
    ['being stopped', {}, { terminating: { since: at(0), graceMs: 1 } }, {}, /being stopped/],
    ['fenced', {}, {}, { fenced: ['demo-2'] }, /fenced/],
    ['to be removed', { rules: [] }, { pods: [pod(1), pod(2, { leaving: true })] }, {}, /removed/],
    ['to be removed, required', {}, { pods: [pod(1), pod(2, { leaving: true })] }, {}, undefined],
    ['never to lead', {}, {}, { priorities: { 'demo-2': 0 } }, /never to lead/],
    [
      'never to lead, but by force',
      {},
      {},
      { priorities: { 'demo-2': 0 }, promote: { id: 'p', to: 'demo-2', epoch: 3 } },
      undefined,
    ],
    ['no data', {}, { view: standbyView(2, { data: 'empty' }) }, {}, /no complete data/],
    ['damaged data', {}, { view: standbyView(2, { data: 'damaged' }) }, {}, /no complete data/],
    [
      'data of another database',
      {},
      { view: standbyView(2, { systemID: 'other' }) },
      {},
      /belong to system other/,
    ],
    [
      'the status names another database',
      { systemID: undefined },
      {},
      { systemID: 'other' },
      /belong to system/,
    ],
    [
      'a volume that is not recorded',
      {},
      { view: standbyView(2, { incarnation: 'new' }) },
      {},
      /not recorded/,
    ],
    ['nothing is recorded at all', { members: [] }, {}, {}, undefined],
    ['no identity is recorded', { systemID: undefined }, {}, {}, /designated/],
  ];
  for (const [name, changed, own, wishes, expected] of stand)
    test(`mayStand: ${name}`, () => {
      const why = refusal(RULES.mayStand(record(changed), state(2, own), settings(wishes)));
      if (expected) assert.match(why ?? '', expected);
      else assert.equal(why, undefined);
    });

  test('ledLast: only on the recorded volume, and if nobody led since', () => {
    assert.equal(RULES.ledLast(record({ holder: null }), state(1)), true);
    assert.equal(RULES.ledLast(record({ holder: null }), state(2)), false);
    assert.equal(RULES.ledLast(record(), state(1, { view: standbyView(1, { incarnation: 'new' }) })), false);
    assert.equal(RULES.ledLast(record({ epoch: 1 }), state(1)), false);
  });

  test('nobodyLeads: a reachable peer that believes to lead is believed', () => {
    const asked = (each: PeerReport | number) =>
      RULES.nobodyLeads(state(2, { peers: answers(5, each) }), 0).ok;
    assert.equal(asked(3), true);
    assert.equal(asked(leaderReport(1)), false);
    assert.equal(asked(report(1, { role: 'primary' })), false);
    assert.equal(
      RULES.nobodyLeads(state(2, { peers: answers(5, leaderReport(1)) }), 6).ok,
      true,
      'an old answer',
    );
  });

  const ahead: [string, PeerReport, number, RegExp | undefined][] = [
    ['a peer is behind', report(3, { receivedLsn: '0/FFF', replayedLsn: '0/FFF' }), 10, undefined],
    ['a peer is ahead', report(3, { receivedLsn: '0/1001' }), 10, /demo-3 is ahead/],
    [
      'a peer is ahead, and goes on being so',
      report(3, { receivedLsn: '0/1001' }),
      60_000,
      /demo-3 is ahead/,
    ],
    [
      'a higher timeline is ahead of any LSN',
      report(3, { timeline: 2, receivedLsn: '0/1', replayedLsn: '0/1' }),
      10,
      /ahead/,
    ],
    ['replayed counts as much as received', report(3, { replayedLsn: '0/1001' }), 10, /ahead/],
    ['equal, and of the better name', report(1), 10, /demo-1 is as far/],
    ['equal and of the better name, but it does not come', report(1), 1_000, undefined],
    ['equal, of the worse name', report(3), 10, undefined],
    ['it does not know how far it is', report(3, { receivedLsn: undefined }), 10, /does not yet know/],
    ['it does not know for long', report(3, { receivedLsn: undefined }), 5_000, undefined],
    [
      'ahead, but on a volume that is not recorded',
      report(3, { receivedLsn: '0/2000', incarnation: 'x' }),
      10,
      undefined,
    ],
    ['ahead, but another database', report(3, { receivedLsn: '0/2000', systemID: 'x' }), 10, undefined],
    ['not up yet, but it counts where a quorum is asked', report(3, { role: 'none' }), 10, undefined],
    ['ahead, and cannot lead', report(3, { receivedLsn: '0/2000', state: 'demoting' }), 10, /cannot lead/],
  ];
  for (const [name, peer, now, expected] of ahead)
    test(`nobodyAhead: ${name}`, () => {
      const why = refusal(
        RULES.nobodyAhead(record(), state(2, { peers: answers(0, peer) }), here(), at(0), at(now)),
      );
      if (expected) assert.match(why ?? '', expected);
      else assert.equal(why, undefined);
    });

  const notUp: [string, Partial<PeerReport>, number, RegExp | undefined][] = [
    ['starting', { state: 'starting' }, 10, /not up yet/],
    ['about to start', { state: 'waiting' }, 10, /not up yet/],
    ['about to start for long', { state: 'waiting' }, 5_000, undefined],
    ['stopped for good', { state: 'stopped' }, 10, undefined],
    ['without data', { state: 'waiting', dataEmpty: true }, 10, undefined],
  ];
  for (const [name, changed, now, expected] of notUp)
    test(`nobodyAhead, no quorum asked: ${name}`, () => {
      const peer = report(3, { role: 'none', receivedLsn: undefined, ...changed });
      const own = state(2, { peers: answers(0, peer) });
      const why = refusal(RULES.nobodyAhead(record({ rules: [] }), own, here(), at(0), at(now)));
      if (expected) assert.match(why ?? '', expected);
      else assert.equal(why, undefined);
    });

  const rule = (changed: Partial<CommitRule>): CommitRule => ({ ...ANY_1, ...changed });
  const quorum: [string, Partial<LeaseRecord>, (PeerReport | number)[], boolean][] = [
    ['any 1 of 2: both must be known', {}, [3], true],
    ['any 1 of 2: we alone', {}, [], false],
    ['the old leader is not one of the names', {}, [1], false],
    ['any 2 of 2: one is enough', { rules: [rule({ number: 2 })] }, [], true],
    ['first 1 of 2 is no better than any 1', { rules: [rule({ method: 'first' })] }, [], false],
    [
      'every rule that may have been in force',
      { rules: [rule({ number: 2 }), rule({ names: ['demo-1', 'demo-3'] })] },
      [3],
      false,
    ],
    [
      'every rule, all answered',
      { rules: [rule({ number: 2 }), rule({ names: ['demo-1', 'demo-3'] })] },
      [1, 3],
      true,
    ],
    ['a rule that could never be fulfilled', { rules: [rule({ names: [], number: 1 })] }, [], true],
    ['not required', { rules: [rule({ required: false })] }, [], true],
    ['an answer that does not say how far', {}, [report(3, { receivedLsn: undefined })], false],
    ['an answer from a volume that is not the recorded one', {}, [report(3, { incarnation: 'new' })], false],
    ['an answer without data', {}, [report(3, { dataEmpty: true })], false],
    ['the record was lost: all must answer', { members: [], rules: [] }, [3], false],
    ['the record was lost, all answer', { members: [], rules: [] }, [1, 3], true],
  ];
  for (const [name, changed, peers, expected] of quorum)
    test(`quorumAnswered: ${name}`, () => {
      const own = state(2, { peers: answers(5, ...peers) });
      assert.equal(RULES.quorumAnswered(record(changed), own, settings(), here(), 0).ok, expected);
    });
  test('quorumAnswered: an answer from before the opening proves nothing', () => {
    const own = state(2, { peers: answers(5, 3) });
    assert.equal(RULES.quorumAnswered(record(), own, settings(), here(), 6).ok, false);
  });
  test('quorumAnswered: we do not count while we do not know how far we are', () => {
    const own = state(2, { peers: answers(5, 3) });
    assert.equal(RULES.quorumAnswered(record(), own, settings(), undefined, 0).ok, false);
  });

  const lag: [string, Partial<LeaseRecord>, Position, bigint | undefined, number, boolean][] = [
    ['as far as the last leader', {}, here(), 0n, 10, true],
    ['behind, within the limit', {}, here(0xff0n), 0x10n, 10, true],
    ['behind, beyond the limit', {}, here(0xff0n), 0xfn, 60_000, false],
    ['behind, no limit', {}, here(0x10n), undefined, 10, true],
    [
      'behind what was released in order: the last leader first',
      { holder: null },
      here(0xff0n),
      undefined,
      9_999,
      false,
    ],
    ['behind what was released, and nobody came', { holder: null }, here(0xff0n), undefined, 10_000, true],
    ['on an older timeline', { timeline: 2 }, here(), undefined, 10, false],
    ['with a required rule the quorum decides', { rules: [ANY_1] }, here(0x10n), 0n, 10, true],
  ];
  for (const [name, changed, mine, limit, now, expected] of lag)
    test(`withinLag: ${name}`, () => {
      const wishes = settings({ ...(limit === undefined ? {} : { maximumLagBytes: limit }) });
      const verdict = RULES.withinLag(record({ rules: [], ...changed }), wishes, mine, at(0), at(now));
      assert.equal(verdict.ok, expected);
    });
});

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

describe('8: what destroys data', () => {
  const empty = {
    view: standbyView(1, { data: 'empty' as const, process: 'stopped' as const }),
    epochSeen: 0,
  };
  const bare: LeaseRecord = { holder: null, epoch: 0, designated: 'demo-1', members: [], rules: [] };
  const initialise: [string, Partial<LeaseRecord>, Partial<State>, Partial<Settings>, RegExp | undefined][] =
    [
      ['the designated one, on an empty volume, for the first time', {}, {}, {}, undefined],
      ['the Lease names a system', { systemID: 'sys' }, {}, {}, /initialised before/],
      ['the status names a system', {}, {}, { systemID: 'sys' }, /initialised before/],
      ['another is designated', { designated: 'demo-2' }, {}, {}, /demo-2 is to/],
      ['nobody is designated', { designated: undefined }, {}, {}, /nobody is to/],
      ['there were members', { members: [{ name: 'demo-1', incarnation: 'x' }] }, {}, {}, /leader before/],
      ['there was an epoch', {}, { epochSeen: 1 }, {}, /leader before/],
      ['the volume holds data', {}, { view: standbyView(1) }, {}, /not empty/],
      ['the volume holds damaged data', {}, { view: standbyView(1, { data: 'damaged' }) }, {}, /not empty/],
    ];
  for (const [name, changed, own, wishes, expected] of initialise)
    test(`mayInitialise: ${name}`, () => {
      const why = refusal(
        RULES.mayInitialise({ ...bare, ...changed }, state(1, { ...empty, ...own }), settings(wishes)),
      );
      if (expected) assert.match(why ?? '', expected);
      else assert.equal(why, undefined);
    });

  const proven: [string, Partial<LeaseRecord>, PeerReport | undefined, RegExp | undefined][] = [
    ['it says so itself', {}, leaderReport(1), undefined],
    ['nobody leads', { holder: null }, leaderReport(1), /nobody leads/],
    [
      'it is ourselves',
      { leader: { name: 'demo-2', podUID: 'uid-2', address: '' } },
      leaderReport(1),
      /this instance/,
    ],
    ['it does not answer', {}, undefined, /no word/],
    ['another manager answers', {}, leaderReport(1, { identity: 'uid-1/2' }), /does not say that it leads/],
    ['it does not believe to lead', {}, leaderReport(1, { leader: false }), /does not say that it leads/],
    ['it is not promoted yet', {}, leaderReport(1, { role: 'replica' }), /does not run as primary/],
    ['it runs another database', {}, leaderReport(1, { systemID: 'other' }), /another database/],
    ['it is on an older timeline', { timeline: 2 }, leaderReport(1), /older timeline/],
  ];
  for (const [name, changed, answer, expected] of proven)
    test(`isProvenLeader: ${name}`, () => {
      const own = state(2, { peers: answer ? answers(0, answer) : {} });
      const why = refusal(RULES.isProvenLeader(record(changed), own, settings(), at(100)));
      if (expected) assert.match(why ?? '', expected);
      else assert.equal(why, undefined);
    });
  test('isProvenLeader: an answer grows old', () => {
    const own = state(2, { peers: answers(0, leaderReport(1)) });
    assert.equal(RULES.isProvenLeader(record(), own, settings(), at(3_001)).ok, false);
  });

  test('mayOverwrite: one at a time', () => {
    const overwrite = (...peers: PeerReport[]) => overwriteBy(2, 100, ...peers);
    const overwriteBy = (n: number, now: number, ...peers: PeerReport[]) => {
      const rejoin = {
        epoch: 3,
        rung: 'rewind' as const,
        since: at(now > 3_000 ? 0 : now),
        rewinds: 0,
        copies: 0,
      };
      const own = state(n, { peers: answers(now - 10, ...peers), rejoin });
      return RULES.mayOverwrite(record(), own, settings(), at(now)).ok;
    };
    assert.equal(overwrite(leaderReport(1), report(3)), true);
    assert.equal(overwrite(leaderReport(1), report(3, { state: 'copying' })), false);
    assert.equal(overwrite(leaderReport(1), report(3, { state: 'rewinding' })), false);
    assert.equal(overwrite(report(3)), false);
    const idle = { streaming: false };
    assert.equal(overwrite(leaderReport(1), report(3, idle)), true, 'we go first');
    assert.equal(overwriteBy(3, 100, leaderReport(1), report(2, idle)), false, 'it goes first');
    assert.equal(overwriteBy(3, 30_000, leaderReport(1), report(2, idle)), true, 'but not for ever');
  });

  test('isForeign: data of another database, as long as one is known', () => {
    const foreign = standbyView(2, { systemID: 'other' });
    assert.equal(RULES.isForeign(record(), state(2, { view: foreign }), settings()), true);
    assert.equal(RULES.isForeign(record(), state(2), settings()), false);
    assert.equal(
      RULES.isForeign(record({ systemID: undefined }), state(2, { view: foreign }), settings()),
      false,
    );
    assert.equal(
      RULES.isForeign(record(), state(2, { view: { ...foreign, data: 'unclaimed' } }), settings()),
      false,
    );
  });
});
