/** Who may take the Lease: every rule by its cases. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Position } from '../lsn.ts';
import { HANDOVER_MS, RULES } from '../rules.ts';
import type { KnownLease, State } from '../state.ts';
import {
  ANY_1,
  answers,
  at,
  leaderReport,
  lease,
  pod,
  record,
  report,
  settings,
  standbyView,
  state,
} from '../testing.ts';
import type { CommitRule, LeaseRecord, PeerReport, Settings, Verdict } from '../types.ts';

/** The text of a refusal, or undefined for yes. */
const refusal = (verdict: Verdict) => (verdict.ok ? undefined : verdict.why);
const here = (lsn = 0x1000n, timeline = 1): Position => ({ timeline, lsn });

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
      'never to lead, but named',
      { holder: null, handover: handover('demo-2') },
      {},
      { priorities: { 'demo-2': 0 } },
      undefined,
    ],
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
    ['promoted by hand', {}, { promotedByHand: true }, {}, /promoted by hand/],
    [
      'promoted by hand, then by force',
      {},
      { promotedByHand: true },
      { promote: { id: 'p', to: 'demo-2', epoch: 3 } },
      undefined,
    ],
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
    ['an old record, put back: all must answer', { epoch: 2 }, [3], false],
    ['an old record, all answer', { epoch: 2 }, [1, 3], true],
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
