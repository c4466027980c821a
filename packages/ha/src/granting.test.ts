/** Grants and promises: what the asked one answers, and what the one who asks makes of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Action, Event, Job } from './events.ts';
import { step } from './machine.ts';
import { electionReport } from './report.ts';
import type { State } from './state.ts';
import {
  ANY_1,
  answers,
  at,
  leaderReport,
  leaderState,
  lease,
  pod,
  report,
  settings,
  standbyView,
  state,
} from './testing.ts';
import type { GrantAnswer, LeaseRecord, Settings } from './types.ts';

const TICK: Event = { type: 'tick' };
const LEADER = 'uid-1/1';
const of = <T extends Action['type']>(actions: Action[], type: T) =>
  actions.filter((each): each is Extract<Action, { type: T }> => each.type === type);
const jobs = (actions: Action[]): Job[] => of(actions, 'job').map((each) => each.job);
const writes = (actions: Action[]) => of(actions, 'writeLease');
const granted = (n: number, changed: object = {}): GrantAnswer => ({
  name: `demo-${n}`,
  incarnation: `inc-${n}`,
  granted: { to: LEADER, epoch: 3, forMs: 10_000 },
  ...changed,
});

describe('4: grants, asked', () => {
  const ask = (before: State, leader = LEADER, epoch = 3) => {
    const result = step(before, { type: 'grantAsked', id: 'q', leader, epoch }, at(100));
    return { ...result, answer: of(result.actions, 'answerGrant')[0]?.answer };
  };
  const refusals: [string, Partial<State>, string, number, RegExp][] = [
    ['we lead ourselves', { held: leaderState().held! }, LEADER, 3, /leads/],
    [
      'we are taking the Lease',
      { write: { id: 1, purpose: 'take', record: lease().record } },
      LEADER,
      3,
      /taking/,
    ],
    ['we have promised', { promise: { epoch: 3, version: '7' } }, LEADER, 3, /promised/],
    ['a later leader is known', { epochSeen: 4 }, LEADER, 3, /later leader/],
    ['the Lease is held by another', {}, 'uid-9/1', 3, /another/],
    ['the Lease was released', { lease: lease({ holder: null }) }, LEADER, 3, /released/],
  ];
  for (const [name, changed, leader, epoch, why] of refusals)
    test(`refused: ${name}`, () => {
      const { answer, state: after } = ask(state(2, changed), leader, epoch);
      assert.ok(answer && 'refused' in answer);
      assert.match(answer.refused, why);
      assert.equal(after.grant, undefined);
    });
  test('granted for as long as a renewal would last, in the same step', () => {
    const { answer, state: after } = ask(state(2));
    assert.deepEqual(answer, granted(2));
    assert.deepEqual(after.grant, { to: LEADER, epoch: 3, at: at(100) });
    assert.deepEqual(electionReport(after, at(200)).grantsTo, { identity: LEADER, epoch: 3 });
    assert.equal(electionReport(after, at(10_100)).grantsTo, undefined);
  });
  test('granted by one that has not read the Lease since its start', () => {
    const { answer } = ask(state(2, { lease: undefined, epochSeen: 0 }));
    assert.ok(answer && 'granted' in answer);
  });
  test('who granted does not take a silent Lease until it is over', () => {
    const async: LeaseRecord['rules'] = [{ method: 'any', number: 0, names: [], required: false }];
    const before = state(2, {
      lease: lease({ rules: async }),
      grant: { to: LEADER, epoch: 3, at: at(5_000) },
      sight: { version: '7', since: at(0), last: at(11_900) },
      lastRead: at(11_900),
    });
    const waiting = step(before, TICK, at(12_000));
    assert.match(waiting.state.waiting?.what ?? '', /lets the leader go on/);
    assert.deepEqual(of(waiting.actions, 'askPeers'), []);
    assert.equal(of(step(before, TICK, at(15_000)).actions, 'askPeers').length, 1);
  });
  test('a grant does not bind once its leader is certainly dead', () => {
    const before = state(2, {
      grant: { to: LEADER, epoch: 3, at: at(5) },
      pods: [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)],
    });
    assert.equal(of(step(before, TICK, at(10)).actions, 'askPeers').length, 1);
  });
});

describe('4: grants, the leader', () => {
  const overdue = (changed: Partial<State> = {}) =>
    leaderState({ write: { id: 1, purpose: 'renew', record: lease().record }, ...changed });
  test('asks all members when its renewal is overdue', () => {
    assert.deepEqual(of(step(overdue(), TICK, at(2_399)).actions, 'askGrants'), []);
    const [ask] = of(step(overdue(), TICK, at(2_400)).actions, 'askGrants');
    assert.deepEqual(ask?.names, ['demo-2', 'demo-3']);
    assert.equal(ask?.epoch, 3);
  });
  const came = (list: GrantAnswer[], changed: Partial<State> = {}) => {
    const all = Object.fromEntries(list.map((each) => [each.name, each]));
    const event: Event = { type: 'grants', askedAt: at(2_400), epoch: 3, answers: all };
    return step(overdue(changed), event, at(2_500)).state;
  };
  test('goes on from before it asked, with grants of all', () => {
    const after = came([granted(2), granted(3)]);
    assert.deepEqual(after.held?.grantedAt, at(2_400));
    assert.notEqual(step(after, TICK, at(8_399)).state.held, undefined);
    const end = step(after, TICK, at(8_400));
    assert.equal(end.state.held, undefined);
    assert.equal(jobs(end.actions)[0]?.kind, 'stop');
  });
  test('tells the guard', () => {
    const event: Event = {
      type: 'grants',
      askedAt: at(2_400),
      epoch: 3,
      answers: { 'demo-2': granted(2), 'demo-3': granted(3) },
    };
    assert.deepEqual(of(step(overdue(), event, at(2_500)).actions, 'beat'), [
      { type: 'beat', deadline: { since: at(2_400), afterMs: 8_000 } },
    ]);
  });
  const lacking: [string, GrantAnswer[], Partial<State>][] = [
    ['one refuses', [granted(2), { name: 'demo-3', refused: 'no' }], {}],
    ['one does not answer', [granted(2)], {}],
    ['from a volume that is not recorded', [granted(2), granted(3, { incarnation: 'new' })], {}],
    ['for another epoch', [granted(2), granted(3, { granted: { to: LEADER, epoch: 2, forMs: 1 } })], {}],
    [
      'a write of unknown fate may have recorded another member',
      [granted(2), granted(3)],
      { perhapsMembers: [{ name: 'demo-4', incarnation: 'inc-4' }] },
    ],
  ];
  for (const [name, list, changed] of lacking)
    test(`does not count: ${name}`, () => {
      assert.equal(came(list, changed).held?.grantedAt, undefined);
    });
  test('a write of unknown fate: its members are asked as well, until another version is seen', () => {
    const members = [...lease().record.members, { name: 'demo-4', incarnation: 'inc-4' }];
    const sent = overdue({ write: { id: 1, purpose: 'renew', record: { ...lease().record, members } } });
    const unknown: Event = {
      type: 'leaseWritten',
      id: 1,
      sentAt: at(2_000),
      outcome: { kind: 'unknown', message: '' },
    };
    const after = step(sent, unknown, at(2_450));
    assert.deepEqual(of(after.actions, 'askGrants')[0]?.names, ['demo-2', 'demo-3', 'demo-4']);
    const read: Event = { type: 'leaseRead', sentAt: at(2_500), outcome: { kind: 'found', ...lease() } };
    assert.notEqual(step(after.state, read, at(2_510)).state.perhapsMembers, undefined);
    const other: Event = {
      type: 'leaseRead',
      sentAt: at(2_500),
      outcome: { kind: 'found', ...lease(), version: '8' },
    };
    assert.equal(step(after.state, other, at(2_510)).state.perhapsMembers, undefined);
  });
  test('alone, it goes on without asking', () => {
    const alone = overdue({
      lease: lease({ members: [{ name: 'demo-1', incarnation: 'inc-1' }], rules: [] }),
    });
    const after = step(alone, TICK, at(5_000));
    assert.deepEqual(of(after.actions, 'askGrants'), []);
    assert.notEqual(step(after.state, TICK, at(9_000)).state.held, undefined);
  });
});

/** demo-2, that has seen no renewal for `ms`. */
const quiet = (ms: number, changed: Partial<State> = {}): State =>
  state(2, {
    grantsSince: at(-60_000),
    sight: { version: '7', since: at(0), last: at(ms - 50) },
    lastRead: at(ms - 50),
    viewAt: at(ms - 50),
    ...changed,
  });
const wouldPromise = { wouldPromise: { epoch: 3, version: '7' } };

describe('5: promises, asked', () => {
  const ask: Event = { type: 'promiseAsked', id: 'q', candidate: 'demo-3', epoch: 3, version: '7' };
  const read = (version = '7'): Event => ({
    type: 'leaseRead',
    sentAt: at(4_010),
    outcome: { kind: 'found', ...lease(), version },
  });
  const reasons: [string, Partial<State>, Partial<Settings>, RegExp][] = [
    ['renewed not long ago', { sight: { version: '7', since: at(2_000), last: at(3_950) } }, {}, /renewed/],
    ['started not long ago', { grantsSince: at(0) }, {}, /started not long ago/],
    ['has granted', { grant: { to: LEADER, epoch: 3, at: at(3_000) } }, {}, /lets the leader go on/],
    ['has heard of the leader', { peers: answers(3_000, leaderReport(1)) }, {}, /heard of/],
    ['under maintenance', {}, { maintenance: true }, /maintenance/],
    ['a volume that is not recorded', { view: standbyView(2, { incarnation: 'new' }) }, {}, /not recorded/],
    ['a rule that may degrade', { lease: lease({ rules: [{ ...ANY_1, required: false }] }) }, {}, /wait/],
  ];
  for (const [name, changed, wishes, why] of reasons)
    test(`refused: ${name}`, () => {
      const result = step(quiet(4_000, { ...changed, settings: settings(wishes) }), ask, at(4_000));
      const [answer] = of(result.actions, 'answerPromise');
      assert.ok(answer && 'refused' in answer.answer);
      assert.match(answer.answer.refused, why);
      assert.equal(result.state.promising, undefined);
    });

  test('the Lease is read, the WAL is cut, and only then it says how far it is', () => {
    const asked = step(quiet(4_000), ask, at(4_000));
    assert.deepEqual(jobs(asked.actions), []);
    assert.equal(of(asked.actions, 'readLease').length, 1);
    const cutting = step(asked.state, read(), at(4_020));
    assert.deepEqual(jobs(cutting.actions), [{ kind: 'cutWal', promise: { epoch: 3, version: '7' } }]);
    assert.deepEqual(of(cutting.actions, 'answerPromise'), []);
    const view = standbyView(2, { streaming: false, receiverRunning: false, receivedLsn: '0/2000' });
    const done = step(
      cutting.state,
      { type: 'jobDone', id: cutting.state.job!.id, seen: { startedAt: at(4_060), view } },
      at(4_061),
    );
    assert.deepEqual(of(done.actions, 'answerPromise')[0]?.answer, {
      name: 'demo-2',
      incarnation: 'inc-2',
      promised: { epoch: 3, version: '7' },
      timeline: 1,
      lsn: '0/2000',
    });
    assert.deepEqual(jobs(done.actions), [], 'nobody is followed');
    assert.equal(
      step(done.state, { ...ask, id: 'r' }, at(4_100)).actions.some(({ type }) => type === 'answerPromise'),
      true,
    );
    const voided = step(done.state, read('8'), at(4_200));
    assert.equal(voided.state.promise, undefined);
    assert.equal(jobs(voided.actions)[0]?.kind, 'follow', 'the Lease has another version: it follows again');
  });

  test('the Lease has another version by now: refused', () => {
    const asked = step(quiet(4_000), ask, at(4_000));
    const result = step(asked.state, read('8'), at(4_020));
    const [answer] = of(result.actions, 'answerPromise');
    assert.ok(answer && 'refused' in answer.answer);
    assert.deepEqual(jobs(result.actions), []);
  });

  test('answered within a second in any case', () => {
    const asked = step(quiet(4_000), ask, at(4_000));
    assert.ok(asked.wakeAt <= 5_000);
    const [answer] = of(step(asked.state, TICK, at(5_000)).actions, 'answerPromise');
    assert.ok(answer && 'refused' in answer.answer);
  });

  test('after a restart the note still holds: PostgreSQL starts sealed', () => {
    const stopped = standbyView(2, { process: 'stopped', sqlReachable: false, streaming: false });
    const before = quiet(4_000, { promise: { epoch: 3, version: '7' }, view: stopped, following: undefined });
    assert.deepEqual(jobs(step(before, TICK, at(4_000)).actions), [
      {
        kind: 'startStandby',
        upstream: null,
        applicationName: 'demo-2.joining',
        syncNames: 'ANY 1 ("demo-1", "demo-3")',
        sealed: true,
      },
    ]);
  });
});

test('5: a standby that is stopped does not know how far it is: its control file names an old checkpoint', () => {
  const view = standbyView(2, {
    process: 'stopped',
    sqlReachable: false,
    inRecovery: undefined,
    receivedLsn: undefined,
    replayedLsn: undefined,
    receiverRunning: false,
    controlState: 'shut down in recovery',
    checkpointLsn: '0/800',
  });
  const bound = quiet(4_000, { promise: { epoch: 3, version: '7' }, view, following: undefined });
  const ask: Event = { type: 'promiseAsked', id: 'q', candidate: 'demo-3', epoch: 3, version: '7' };
  const asked = step(bound, ask, at(4_000));
  assert.deepEqual(of(asked.actions, 'answerPromise'), []);
  const [answer] = of(step(asked.state, TICK, at(5_000)).actions, 'answerPromise');
  assert.ok(answer && 'refused' in answer.answer);
});

describe('5: promises, the candidate', () => {
  const sealed = standbyView(2, { streaming: false, receiverRunning: false });
  const candidate = (changed: Partial<State> = {}) =>
    quiet(4_000, {
      election: { version: '7', since: at(3_500), opening: 'quiet' },
      lastAsked: at(3_900),
      peers: answers(3_900, report(3, wouldPromise)),
      ...changed,
    });
  const promised = (lsn = '0/1000', changed: object = {}) => ({
    promise: { epoch: 3, version: '7' },
    cutAt: at(3_940),
    view: sealed,
    following: null,
    promises: {
      state: { epoch: 3, version: '7' },
      given: {
        'demo-3': {
          name: 'demo-3',
          incarnation: 'inc-3',
          promised: { epoch: 3, version: '7' },
          timeline: 1,
          lsn,
          ...changed,
        },
      },
    },
  });

  test('asks who else has heard nothing, before anybody is cut off', () => {
    const result = step(quiet(4_000), TICK, at(4_000));
    assert.equal(of(result.actions, 'askPeers').length, 1);
    assert.deepEqual(of(result.actions, 'askPromises'), []);
    const alone = step(candidate({ peers: answers(3_900, report(3)) }), TICK, at(4_000));
    assert.deepEqual(of(alone.actions, 'askPromises'), []);
    assert.match(alone.state.waiting?.what ?? '', /only demo-2 would promise/);
  });
  test('then asks for promises, and makes its own', () => {
    const result = step(candidate(), TICK, at(4_000));
    const [ask] = of(result.actions, 'askPromises');
    assert.deepEqual(ask?.names, ['demo-3']);
    assert.equal(ask?.version, '7');
    assert.equal(result.state.promising?.version, '7');
    assert.deepEqual(writes(result.actions), []);
  });
  test('takes the Lease from exactly the state that was promised on', () => {
    const [write] = writes(step(candidate(promised()), TICK, at(4_000)).actions);
    assert.equal(write?.purpose, 'take');
    assert.equal(write?.version, '7');
    assert.equal(write?.record.reserved, 2);
  });
  const nots: [string, Partial<State>][] = [
    ['behind a promise', promised('0/1001')],
    ['behind a promise by timeline', promised('0/1', { timeline: 2 })],
    ['a promise of a volume that is not recorded', promised('0/1000', { incarnation: 'new' })],
    ['its own WAL is not cut', { ...promised(), promise: undefined as never, view: standbyView(2) }],
    [
      'it does not know how far it is',
      { ...promised(), view: { ...sealed, receivedLsn: undefined, replayedAll: false } },
    ],
    ['too few promises', { ...promised(), promises: { state: { epoch: 3, version: '7' }, given: {} } }],
    [
      'promises on another state',
      { ...promised(), promises: { ...promised().promises, state: { epoch: 3, version: '6' } } },
    ],
  ];
  for (const [name, changed] of nots)
    test(`does not: ${name}`, () => {
      const before = candidate(changed);
      if (changed.promise === undefined && 'promise' in changed) delete before.promise;
      assert.deepEqual(writes(step(before, TICK, at(4_000)).actions), []);
    });
  test('a Lease that is only silent is taken by promises as well, however long', () => {
    const before = candidate({
      sight: { version: '7', since: at(-20_000), last: at(3_950) },
      peers: answers(3_900, report(3)),
    });
    assert.deepEqual(writes(step(before, TICK, at(4_000)).actions), []);
  });
  test('waits failoverDelay first', () => {
    const before = candidate({ settings: settings({ failoverDelayMs: 3_000 }) });
    assert.deepEqual(of(step(before, TICK, at(4_000)).actions, 'askPromises'), []);
  });
});

describe('by hand', () => {
  const waitingForTarget = (wish: NonNullable<Settings['switchover']>) =>
    leaderState({
      settings: settings({ switchover: wish }),
      handover: { ...wish, reason: 'switchover', since: at(0), stage: 'choosing' },
      lastAsked: at(4_950),
      peers: answers(4_950, report(2, { streaming: false })),
      held: { epoch: 3, t0: at(4_900), since: at(0), continuing: true },
      view: { ...leaderState().view!, replication: [] },
      viewAt: at(4_950),
    });
  const dead = [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)];
  const contest = (changed: Partial<State>, wishes: Partial<Settings>) =>
    step(
      state(2, {
        pods: dead,
        lastAsked: at(5),
        viewAt: at(5),
        election: { version: '7', since: at(1), opening: 'dead' },
        settings: settings(wishes),
        ...changed,
      }),
      TICK,
      at(10),
    );
  test('a forced promotion needs no quorum, drops the rules, and says what may be lost', () => {
    assert.deepEqual(writes(contest({}, {}).actions), []);
    const result = contest({}, { promote: { id: 'p', to: 'demo-2', epoch: 3 } });
    const [write] = writes(result.actions);
    assert.deepEqual(write?.record.rules, [{ ...ANY_1, names: ['demo-1', 'demo-3'] }]);
    assert.ok(of(result.actions, 'note').some(({ reason }) => reason === 'PromotedWithLoss'));
  });
  const ignored: [string, Settings['promote']][] = [
    ['for another', { id: 'p', to: 'demo-3', epoch: 3 }],
    ['somebody has led since', { id: 'p', to: 'demo-2', epoch: 2 }],
  ];
  for (const [name, promote] of ignored)
    test(`a forced promotion ${name} is none`, () => {
      assert.deepEqual(writes(contest({}, { promote: promote! }).actions), []);
    });
  test('a forced promotion does not pass over a leader that answers', () => {
    const wishes = { promote: { id: 'p', to: 'demo-2', epoch: 3 } };
    assert.deepEqual(writes(contest({ peers: answers(5, leaderReport(1)) }, wishes).actions), []);
  });
  test('under maintenance nobody takes what another held', () => {
    const result = contest({ peers: answers(5, 3) }, { maintenance: true });
    assert.deepEqual(writes(result.actions), []);
    assert.match(result.state.waiting?.what ?? '', /maintenance/);
  });

  const asked = (changed: Partial<Settings>, own: Partial<State> = {}) =>
    step(leaderState({ settings: settings(changed), ...own }), TICK, at(10));
  const refused: [string, Partial<Settings>, Partial<State>, RegExp][] = [
    ['fenced', { fenced: ['demo-2'] }, {}, /demo-2 is fenced/],
    [
      'never to lead, without force',
      { priorities: { 'demo-2': 0 }, switchover: { id: 's', from: 'demo-1', to: 'demo-2' } },
      {},
      /never to lead/,
    ],
    [
      'not a member',
      {},
      { lease: lease({ members: lease().record.members.filter(({ name }) => name !== 'demo-2') }) },
      /not a member/,
    ],
    ['being deleted', {}, { pods: [pod(1), pod(2, { deleting: true })] }, /being deleted/],
  ];
  for (const [name, wishes, own, why] of refused)
    test(`a switchover to a target that is ${name} is refused at once`, () => {
      const result = asked(
        { switchover: { id: 's', from: 'demo-1', to: 'demo-2', force: true }, ...wishes },
        own,
      );
      assert.equal(result.state.switchoverOutcome?.outcome, 'failed');
      assert.match(result.state.switchoverOutcome?.why ?? '', why);
      assert.equal(result.state.handover, undefined);
    });
  test('a wish whose time has passed is not begun, and given up while its target is waited for', () => {
    const wish = { id: 's', from: 'demo-1', to: 'demo-2', untilWall: at(5_000).wall };
    assert.equal(asked({ switchover: { ...wish, untilWall: at(10).wall } }).state.handover, undefined);
    assert.equal(asked({ switchover: wish }).state.handover?.reason, 'switchover');
    const before = waitingForTarget({ ...wish, force: true });
    assert.equal(step(before, TICK, at(4_990)).state.switchoverOutcome, undefined);
    assert.match(step(before, TICK, at(5_000)).state.switchoverOutcome?.why ?? '', /called off/);
  });
  test('by force, one that is never to lead by itself takes over, and no other such', () => {
    const run = (to: string) =>
      asked(
        {
          priorities: { 'demo-2': 0, 'demo-3': 0 },
          switchover: { id: 's', from: 'demo-1', to, force: true },
        },
        { lastAsked: at(10), peers: answers(10, 2, 3) },
      );
    for (const to of ['demo-2', 'demo-3']) {
      const { handover } = run(to).state;
      assert.deepEqual([handover?.to, handover?.stage], [to, 'checkpoint']);
    }
  });
  test('a switchover to a target that does not stream says so after a while', () => {
    const wish = { id: 's', from: 'demo-1', to: 'demo-2' };
    const before = waitingForTarget(wish);
    assert.equal(step(before, TICK, at(4_990)).state.switchoverOutcome, undefined);
    assert.match(step(before, TICK, at(5_000)).state.switchoverOutcome?.why ?? '', /does not stream/);
  });
  test('fencing the leader hands over', () => {
    const result = asked({ fenced: ['demo-1'] }, { lastAsked: at(10), peers: answers(10, 2, 3) });
    assert.equal(result.state.handover?.reason, 'fence');
  });
  test('fencing all stops the leader without looking for another', () => {
    const result = asked({ fenced: ['demo-1', 'demo-2', 'demo-3'] });
    assert.equal(jobs(result.actions)[0]?.kind, 'stop');
  });
});
