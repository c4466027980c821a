/** What destroys data: every rule by its cases. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES } from '../rules.ts';
import type { State } from '../state.ts';
import { answers, at, leaderReport, record, report, settings, standbyView, state } from '../testing.ts';
import type { LeaseRecord, PeerReport, Settings, Verdict } from '../types.ts';

/** The text of a refusal, or undefined for yes. */
const refusal = (verdict: Verdict) => (verdict.ok ? undefined : verdict.why);

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
    const lost = { role: 'none', state: 'waiting', dataEmpty: true, streaming: false } as const;
    assert.equal(overwrite(leaderReport(1), report(3, lost)), false, 'who has lost its data goes first');
    assert.equal(overwriteBy(2, 30_000, leaderReport(1), report(3, lost)), true, 'but not for ever');
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
