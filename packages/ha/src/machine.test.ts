/** The machine step by step: what it does in each situation, and what it must not do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Action, Event, Job } from './events.ts';
import { step } from './machine.ts';
import { SITUATIONS } from './situations.ts';
import { initialState, type State } from './state.ts';
import {
  ANY_1,
  answers,
  at,
  followed,
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
import type { View } from './types.ts';

const TICK: Event = { type: 'tick' };
const stopped: Partial<View> = {
  process: 'stopped',
  inRecovery: undefined,
  sqlReachable: false,
  streaming: false,
};
const jobs = (actions: Action[]): Job[] =>
  actions.flatMap((action) => (action.type === 'job' ? [action.job] : []));
const writes = (actions: Action[]) =>
  actions.flatMap((action) => (action.type === 'writeLease' ? [action] : []));
const of = (actions: Action[], type: Action['type']) => actions.filter((action) => action.type === type);

test('a checkpoint after the promotion that failed is made again: nobody can be rewound to us before', () => {
  const began = leaderState({ asides: { checkpoint: true, slots: false } });
  const failed = step(began, { type: 'asideDone', kind: 'checkpoint', ok: false }, at(100)).state;
  const again = step({ ...failed, held: { ...failed.held!, t0: at(1_000) } }, TICK, at(1_000));
  assert.deepEqual(
    again.actions.flatMap((action) => (action.type === 'aside' ? [action.aside.kind] : [])),
    ['checkpoint'],
  );
});

describe('situations', () => {
  const view = (n: number, changed: Partial<View>) => ({ view: standbyView(n, changed) });
  const bare = { holder: null, epoch: 0, designated: 'demo-1', members: [], rules: [] };
  const cases: [string, State, string, Job['kind'] | undefined][] = [
    ['just started', { ...initialState(state(1).self) }, 'death is not certain', 'die'],
    ['nothing read yet', state(2, { lease: undefined }), 'nothing is known yet', undefined],
    [
      'death is impossible',
      state(2, { undead: 'EPERM', acted: true }),
      'death is impossible to make certain',
      undefined,
    ],
    [
      'what the manager found does not die',
      state(2, { undead: 'EPERM', deathNeeded: true, primaryMaybe: true }),
      'death is not certain',
      'die',
    ],
    [
      'somebody took the Lease',
      state(1, { primaryMaybe: true, view: primaryView(1), lost: { why: '', taken: true } }),
      'leadership was lost to somebody',
      'die',
    ],
    [
      'the Lease ran out',
      state(1, { primaryMaybe: true, view: primaryView(1), lost: { why: '', taken: false } }),
      'leadership ran out',
      'stop',
    ],
    [
      'a primary without the Lease',
      state(1, { view: primaryView(1) }),
      'a primary that nobody made one',
      'die',
    ],
    [
      'data gone under a standby',
      state(2, view(2, { data: 'damaged' })),
      'the data directory is gone under a running database',
      'die',
    ],
    [
      'data gone under the leader',
      leaderState({ view: primaryView(1, { data: 'empty' }) }),
      'the data directory is gone under a running database',
      'die',
    ],
    [
      'another database under a standby',
      state(2, view(2, { systemID: 'other' })),
      'another database in the place of ours',
      'die',
    ],
    [
      'another database under the leader',
      leaderState({ view: primaryView(1, { systemID: 'other' }) }),
      'another database in the place of ours',
      'die',
    ],
    [
      'another database, and the leader is stopped',
      leaderState({ view: { ...primaryView(1, stopped), systemID: 'other' }, lastAsked: undefined }),
      'leader: no data',
      undefined,
    ],
    ['leader', leaderState(), 'leader: running', undefined],
    [
      'leader, still a standby',
      leaderState({
        view: standbyView(1),
        applied: undefined,
        held: { epoch: 3, t0: at(0), since: at(0), continuing: false, timeline: 2 },
      }),
      'leader: still a standby',
      'promote',
    ],
    [
      'leader, still a standby, no timeline number reserved',
      leaderState({ view: standbyView(1), applied: undefined }),
      'leader: still a standby',
      undefined,
    ],
    [
      'leader with fresh data',
      leaderState({ view: primaryView(1, { ...stopped, data: 'unclaimed' }) }),
      'leader: fresh data claimed',
      'claim',
    ],
    [
      'leader, asked to stop',
      leaderState({ terminating: { since: at(0), graceMs: 1 } }),
      'leader: asked to hand over',
      undefined,
    ],
    [
      'replica, asked to stop',
      state(2, { terminating: { since: at(0), graceMs: 1 } }),
      'stopping: PostgreSQL runs',
      'stop',
    ],
    [
      'replica, stopped',
      state(2, { terminating: { since: at(0), graceMs: 1 }, ...view(2, stopped) }),
      'stopping: done',
      undefined,
    ],
    [
      'fenced, running',
      state(2, { settings: settings({ fenced: ['demo-2'] }) }),
      'stopping: PostgreSQL runs',
      'stop',
    ],
    [
      'fenced, stopped',
      state(2, { settings: settings({ fenced: ['demo-2'] }), ...view(2, stopped) }),
      'fenced',
      undefined,
    ],
    [
      'foreign data',
      state(2, view(2, { ...stopped, systemID: 'other' })),
      'data of another database',
      undefined,
    ],
    [
      'fresh data, too late',
      state(2, view(2, { ...stopped, data: 'unclaimed', systemID: 'other' })),
      'fresh data that another instance was faster with',
      'wipe',
    ],
    [
      'fresh data, ours',
      state(2, view(2, { ...stopped, data: 'unclaimed' })),
      'fresh data that the Lease names already',
      'claim',
    ],
    [
      'first instance',
      state(1, {
        lease: { version: '1', record: bare },
        epochSeen: 0,
        ...view(1, { ...stopped, data: 'empty' }),
      }),
      'to be initialised here',
      'initialise',
    ],
    [
      'second instance, too early',
      state(2, {
        lease: { version: '1', record: bare },
        epochSeen: 0,
        ...view(2, { ...stopped, data: 'empty' }),
      }),
      'no data',
      undefined,
    ],
    [
      'empty, with a proven leader',
      state(2, { peers: answers(0, leaderReport(1)), ...view(2, { ...stopped, data: 'empty' }) }),
      'no data',
      'copy',
    ],
    [
      'empty, the leader is not proven',
      state(2, { peers: answers(0, report(1)), ...view(2, { ...stopped, data: 'empty' }) }),
      'no data',
      undefined,
    ],
    [
      'damaged, with a proven leader',
      state(2, { peers: answers(0, leaderReport(1)), ...view(2, { ...stopped, data: 'damaged' }) }),
      'no data',
      'wipe',
    ],
    ['a stopped standby', state(2, view(2, stopped)), 'standby is stopped', 'startStandby'],
    [
      'another leader than followed',
      state(2, { following: followed(2, { name: 'demo-3', address: '10.0.0.3' }) }),
      'standby runs, but not as wanted',
      'follow',
    ],
    [
      'recorded, still under the joining name',
      state(2, { following: followed(2, { applicationName: 'demo-2.joining' }) }),
      'standby runs, but not as wanted',
      'follow',
    ],
    [
      'another rule than it was told',
      state(2, { following: followed(2, { syncNames: '' }) }),
      'standby runs, but not as wanted',
      'follow',
    ],
    ['a standby that streams', state(2), 'standby runs', undefined],
  ];
  for (const [name, before, situation, job] of cases)
    test(`${name}: ${situation}`, () => {
      const result = step(before, TICK, at(10));
      assert.equal(result.situation, situation);
      assert.equal(jobs(result.actions)[0]?.kind, job);
      assert.ok(SITUATIONS.some((each) => each.name === situation));
    });
  test('each situation has a name of its own', () => {
    const names = SITUATIONS.map((each) => each.name);
    assert.equal(new Set(names).size, names.length);
  });
});

test('a Lease that was put back to an older state is open after silence, and waits for no promises', () => {
  const put = { version: '7', record: record({ epoch: 2 }) };
  const before = state(2, {
    lease: put,
    lastRead: at(10_400),
    sight: { version: '7', since: at(0), last: at(10_400) },
  });
  const { state: after, actions } = step(before, TICK, at(10_500));
  assert.equal(after.election?.opening, 'silent');
  assert.equal(of(actions, 'askPeers').length, 1);
});

describe('the leader', () => {
  test('renews by compare-and-swap on the version it knows, every renewMs', () => {
    assert.deepEqual(writes(step(leaderState(), TICK, at(1_999)).actions), []);
    const [write] = writes(step(leaderState(), TICK, at(2_000)).actions);
    assert.equal(write?.purpose, 'renew');
    assert.equal(write?.version, '7');
    assert.equal(write?.record.epoch, 3);
  });

  test('counts from the sending of a renewal that succeeded, not of one that may have', () => {
    const sent = step(leaderState(), TICK, at(2_000)).state;
    const written = (outcome: Extract<Event, { type: 'leaseWritten' }>['outcome']): Event => ({
      type: 'leaseWritten',
      id: sent.write!.id,
      sentAt: at(2_001),
      outcome,
    });
    const ok = step(sent, written({ kind: 'ok', version: '8', record: sent.write!.record }), at(2_500)).state;
    assert.equal(ok.held?.t0.mono, 2_001);
    const unknown = step(sent, written({ kind: 'unknown', message: '' }), at(2_300));
    assert.equal(unknown.state.held?.t0.mono, 0);
    const [again] = writes(step(unknown.state, TICK, at(2_600)).actions);
    assert.equal(again?.version, '7', 'swapped again from the version it knows');
    const conflict = step(sent, written({ kind: 'conflict' }), at(2_300));
    assert.equal(of(conflict.actions, 'readLease').length, 1);
    assert.deepEqual(writes(step(conflict.state, TICK, at(3_500)).actions), [], 'nothing before a read');
  });

  test('tells the guard a deadline with each renewal, and no more after that', () => {
    const renewed = step(
      leaderState({ held: { epoch: 3, t0: at(50), since: at(0), continuing: true } }),
      TICK,
      at(60),
    );
    assert.deepEqual(of(renewed.actions, 'beat'), [
      { type: 'beat', deadline: { since: at(50), afterMs: 8_000 } },
    ]);
    assert.deepEqual(of(step(renewed.state, TICK, at(70)).actions, 'beat'), []);
  });

  test('stops by its own clock, and the guard is not told to stand down before death is certain', () => {
    const late = step(leaderState(), TICK, at(6_000));
    assert.deepEqual(jobs(late.actions), [{ kind: 'stop', fastMs: 1_000, immediateMs: 500 }]);
    assert.equal(late.state.held, undefined);
    assert.deepEqual(of(late.actions, 'beat'), []);
    const dead = step(late.state, { type: 'jobDone', id: late.state.job!.id }, at(6_500));
    assert.deepEqual(of(dead.actions, 'beat'), [{ type: 'beat', deadline: null }]);
  });

  test('that cannot point -rw at itself tries again after a while, not at once', () => {
    const held = { epoch: 3, t0: at(10_000), since: at(0), continuing: true };
    const asked = step(leaderState({ held }), TICK, at(10_100));
    assert.equal(of(asked.actions, 'route').length, 1);
    const failed = step(asked.state, { type: 'routed', epoch: 3, outcome: 'failed' }, at(10_110));
    assert.equal(of(failed.actions, 'route').length, 0);
    assert.equal(of(step(failed.state, TICK, at(10_450)).actions, 'route').length, 1);
  });
  test('that finds another holder kills at once', () => {
    const taken = lease({
      holder: 'uid-2/1',
      epoch: 4,
      leader: { name: 'demo-2', podUID: 'uid-2', address: '' },
    });
    const read: Event = {
      type: 'leaseRead',
      sentAt: at(90),
      outcome: { kind: 'found', ...taken, version: '9' },
    };
    assert.deepEqual(jobs(step(leaderState(), read, at(100)).actions), [{ kind: 'die' }]);
  });

  test('takes a Lease that was made anew again, above every epoch it has seen', () => {
    const anew = {
      version: '90',
      record: { holder: null, epoch: 0, designated: 'demo-1', systemID: 'sys', members: [], rules: [] },
    };
    const read: Event = { type: 'leaseRead', sentAt: at(90), outcome: { kind: 'found', ...anew } };
    const result = step(leaderState(), read, at(100));
    assert.deepEqual(jobs(result.actions), []);
    const [write] = writes(result.actions);
    assert.equal(write?.purpose, 'take');
    assert.equal(write?.record.epoch, 4);
  });

  test('mends a Lease that was put back to an older state, or lost its record, under the same holder', () => {
    const bare = { holder: record().holder, epoch: 1, members: [], rules: [] };
    for (const put of [record({ epoch: 1, systemID: undefined }), bare]) {
      const read: Event = {
        type: 'leaseRead',
        sentAt: at(90),
        outcome: { kind: 'found', version: '9', record: put },
      };
      const [write] = writes(step(leaderState(), read, at(100)).actions);
      assert.equal(write?.purpose, 'renew');
      assert.equal(write?.record.epoch, 3);
      assert.equal(write?.record.settled?.epoch, 3);
      assert.equal(write?.record.systemID, 'sys');
    }
  });

  test('records a new rule beside the old one before it applies it', () => {
    const wishes = settings({ sync: { method: 'any', number: 2, required: true } });
    const first = step(leaderState({ settings: wishes }), TICK, at(10));
    assert.deepEqual(jobs(first.actions), []);
    const [write] = writes(first.actions);
    assert.deepEqual(write?.record.rules, [ANY_1, { ...ANY_1, number: 2 }]);
    const written: Event = {
      type: 'leaseWritten',
      id: write!.id,
      sentAt: at(10),
      outcome: { kind: 'ok', version: '8', record: write!.record },
    };
    assert.deepEqual(jobs(step(first.state, written, at(20)).actions), [
      { kind: 'setSync', names: 'ANY 2 ("demo-2", "demo-3")' },
    ]);
  });

  test('records a standby on a new volume, whose name comes into force only afterwards', () => {
    const before = leaderState({
      lease: lease({ members: record().members.slice(0, 2), rules: [{ ...ANY_1, names: ['demo-2'] }] }),
      settings: settings({ sync: { method: 'any', number: 1, required: true } }),
      applied: 'ANY 1 ("demo-2")',
      view: primaryView(1, { replication: [row('demo-2'), row('demo-3.joining')] }),
      peers: answers(0, 3),
    });
    const [write] = writes(step(before, TICK, at(10)).actions);
    assert.deepEqual(write?.record.members.at(-1), { name: 'demo-3', incarnation: 'inc-3' });
    assert.deepEqual(write?.record.rules, [{ ...ANY_1, names: ['demo-2'] }, ANY_1]);
  });

  test('drops a leaving member only after the rule without it holds', () => {
    const before = leaderState({
      settings: settings({ sync: { method: 'any', number: 1, required: true } }),
      pods: [pod(1), pod(2), pod(3, { leaving: true })],
    });
    const rule2 = { ...ANY_1, names: ['demo-2'] };
    const [union] = writes(step(before, TICK, at(10)).actions);
    assert.deepEqual(union?.record.rules, [ANY_1, rule2]);
    assert.equal(union?.record.members.length, 3);
    const applied = { ...before, lease: lease({ rules: [ANY_1, rule2] }), applied: 'ANY 1 ("demo-2")' };
    const [collapsed] = writes(step(applied, TICK, at(10)).actions);
    assert.deepEqual(collapsed?.record.rules, [rule2]);
    assert.deepEqual(
      collapsed?.record.members.map(({ name }) => name),
      ['demo-1', 'demo-2'],
    );
  });

  const dead: Partial<State> = {
    view: primaryView(1, {
      ...stopped,
      controlState: 'in production',
      replication: [],
    }),
    deadSince: at(5),
    primaryMaybe: false,
    applied: undefined,
    settings: settings({ sync: { method: 'any', number: 1, required: true } }),
  };
  test('with a dead database hands over to the furthest of a quorum, by name', () => {
    const before = leaderState({
      ...dead,
      lastAsked: at(6),
      peers: answers(6, report(2), report(3, { receivedLsn: '0/1008' })),
    });
    const [write] = writes(step(before, TICK, at(10)).actions);
    assert.equal(write?.purpose, 'release');
    assert.equal(write?.record.holder, null);
    assert.equal(write?.record.handover?.to, 'demo-3');
    assert.equal(write?.record.handover?.position, '0/1008');
    assert.equal(write?.record.epoch, 3);
  });
  test('with a dead database asks after the death, not before', () => {
    const before = leaderState({ ...dead, lastAsked: at(4), peers: answers(4, 2, 3) });
    const result = step(before, TICK, at(10));
    assert.equal(of(result.actions, 'askPeers').length, 1);
    assert.deepEqual(jobs(result.actions), []);
  });
  test('with a dead database and too few answers starts in place', () => {
    const before = leaderState({ ...dead, lastAsked: at(6), peers: answers(6, 2) });
    assert.deepEqual(jobs(step(before, TICK, at(10)).actions), [
      { kind: 'startPrimary', syncNames: ANY_1_TEXT },
    ]);
  });
  test('with a dead asynchronous database starts in place, asking nobody', () => {
    const before = leaderState({
      ...dead,
      settings: settings({ sync: undefined }),
      lease: lease({ rules: [ASYNC] }),
    });
    assert.deepEqual(jobs(step(before, TICK, at(10)).actions), [{ kind: 'startPrimary', syncNames: '' }]);
  });
  test('on data of a standby never starts as a primary on the old timeline', () => {
    const before = leaderState({
      ...dead,
      view: standbyView(1, { ...stopped, controlState: 'in archive recovery' }),
      settings: settings({ sync: undefined }),
      lease: lease({ rules: [ASYNC] }),
    });
    assert.deepEqual(
      jobs(step(before, TICK, at(10)).actions).map(({ kind }) => kind),
      ['startStandby'],
    );
  });
});

const ANY_1_TEXT = 'ANY 1 ("demo-2", "demo-3")';
const ASYNC = { method: 'any' as const, number: 0, names: [], required: false };

test('a look that began before a reason for another one came does not take its place', () => {
  const before = state(2, { observing: at(10), viewAt: at(0) });
  const older: Event = { type: 'observed', startedAt: at(5), view: standbyView(2) };
  assert.deepEqual(step(before, older, at(12)).state.observing, at(10));
  const asked: Event = { type: 'observed', startedAt: at(10), view: standbyView(2) };
  assert.equal(step(before, asked, at(12)).state.observing, undefined);
});

describe('everyone else', () => {
  test('a failed read starts the count of silence again', () => {
    const failed: Event = { type: 'leaseRead', sentAt: at(9_000), outcome: { kind: 'failed', message: '' } };
    const after = step(state(2, { lastRead: at(8_000), reading: at(8_900) }), failed, at(9_100)).state;
    assert.equal(after.sight, undefined);
    const found: Event = { type: 'leaseRead', sentAt: at(9_500), outcome: { kind: 'found', ...lease() } };
    assert.equal(step(after, found, at(9_600)).state.sight?.since.mono, 9_600);
  });

  test('a successor by name that has everything takes the Lease without asking anybody', () => {
    const known = lease({ holder: null, handover: { to: 'demo-2', position: '0/1000', at: '' } });
    const result = step(state(2, { lease: known }), TICK, at(10));
    const [write] = writes(result.actions);
    assert.equal(write?.purpose, 'take');
    assert.equal(write?.record.epoch, 4);
    assert.equal(write?.record.holder, 'uid-2/1');
    assert.equal(write?.record.handover, undefined);
    assert.deepEqual(write?.record.rules[0], ANY_1);
    assert.deepEqual(
      write?.record.settled,
      { epoch: 4, parent: 1, start: '0/1000' },
      'where it will branch off',
    );
    assert.deepEqual(jobs(result.actions), [], 'nothing is promoted before the swap has succeeded');
  });

  test('a successor by name that lacks something waits for it', () => {
    const known = lease({ holder: null, handover: { to: 'demo-2', position: '0/1001', at: '' } });
    assert.deepEqual(writes(step(state(2, { lease: known }), TICK, at(10)).actions), []);
  });

  test('a database that is looked at at once is not looked at in a circle', () => {
    const impatient = state(2, { viewAt: at(5), observeDue: true });
    assert.equal(of(step(impatient, TICK, at(10)).actions, 'observe').length, 0);
    assert.equal(of(step(impatient, TICK, at(25)).actions, 'observe').length, 1);
  });

  test('a candidate asks, looks, and only then takes', () => {
    const dead = [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)];
    const first = step(state(2, { pods: dead, viewAt: at(-100) }), TICK, at(10));
    assert.deepEqual(writes(first.actions), []);
    assert.deepEqual(
      of(first.actions, 'askPeers').map((action) => (action as { names: string[] }).names),
      [['demo-1', 'demo-3']],
    );
    assert.equal(of(first.actions, 'observe').length, 1);
    const seen = step(first.state, { type: 'observed', startedAt: at(11), view: standbyView(2) }, at(12));
    const asked = step(
      seen.state,
      { type: 'peers', askedAt: at(11), answers: { 'demo-1': null, 'demo-3': report(3) } },
      at(13),
    );
    assert.equal(writes(asked.actions)[0]?.purpose, 'take');
  });

  test('what keeps a candidate from standing is told on while it looks at its database again', () => {
    const what = 'cannot take over (silent): 9 bytes behind the last leader, more than maximumLag allows';
    const before = state(2, { observeDue: true, waiting: { what, since: at(10) } });
    assert.deepEqual(step(before, TICK, at(4_000)).state.waiting, { what, since: at(10) });
    const news = state(2, { observeDue: true, waiting: undefined });
    assert.equal(step(news, TICK, at(10)).state.waiting?.what, 'a look at the database');
  });
  test('a candidate waits failoverDelay first', () => {
    const before = state(2, {
      pods: [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)],
      settings: settings({ failoverDelayMs: 3_000 }),
    });
    const first = step(before, TICK, at(10));
    assert.equal(of(first.actions, 'askPeers').length, 0);
    assert.equal(of(step(first.state, TICK, at(3_011)).actions, 'askPeers').length, 1);
  });
  test('why a candidate may not take over is its word also while it asks anew', () => {
    const before = state(2, {
      pods: [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)],
      lease: lease({ rules: [], position: '0/9000000' }),
      settings: settings({ maximumLagBytes: 1024n }),
      view: standbyView(2, { streaming: false }),
      viewAt: at(11),
      proven: 3,
      election: { version: '7', since: at(0), opening: 'dead' },
      lastAsked: at(11),
      peers: answers(11, report(3, { streaming: false })),
    });
    const first = step(before, TICK, at(12)).state;
    assert.match(first.waiting?.what ?? '', /cannot take over \(dead\): .* more than maximumLag allows/);
    const asking = { ...first, asking: at(300) };
    assert.deepEqual(step(asking, TICK, at(301)).state.waiting, first.waiting);
  });
  test('and says since when, though it waits for WAL meanwhile', () => {
    const before = state(2, {
      pods: [pod(1, { terminated: ['c-1'] }), pod(2), pod(3)],
      settings: settings({ failoverDelayMs: 3_000 }),
      view: standbyView(2, { streaming: false }),
      proven: 3,
    });
    const first = step(before, TICK, at(10)).state;
    assert.match(first.waiting?.what ?? '', /the end of spec\.failoverDelay/);
    assert.deepEqual(step(first, TICK, at(2_000)).state.waiting, first.waiting);
  });

  test('a conflict voids the attempt: the Lease is read again', () => {
    const known = lease({ holder: null, handover: { to: 'demo-2', position: '0/1000', at: '' } });
    const taking = step(state(2, { lease: known }), TICK, at(10)).state;
    const lost: Event = {
      type: 'leaseWritten',
      id: taking.write!.id,
      sentAt: at(11),
      outcome: { kind: 'conflict' },
    };
    const result = step(taking, lost, at(12));
    assert.equal(result.state.held, undefined);
    assert.equal(of(result.actions, 'readLease').length, 1);
    assert.deepEqual(writes(result.actions), []);
  });

  test("a standby moves its slots after the leader's as soon as it streams, and then now and then", () => {
    const slots = (changed: Partial<State>, streaming = true) => {
      const before = state(2, {
        view: standbyView(2, { streaming }),
        slotsFor: ['demo-1', 'demo-3'],
        slotsAt: at(0),
        ...changed,
      });
      const { actions } = step(before, TICK, at(10));
      return actions.flatMap((action) =>
        action.type === 'aside' && action.aside.kind === 'slots' ? [action.aside.primary?.name] : [],
      );
    };
    assert.deepEqual(slots({}), ['demo-1']);
    assert.deepEqual(slots({ slotsAfter: 'demo-3' }), ['demo-1']);
    assert.deepEqual(slots({ slotsAfter: 'demo-1' }), []);
    assert.deepEqual(slots({}, false), []);
  });

  test('a standby does not give up on a leader whose PostgreSQL hangs or starts', () => {
    for (const changed of [{ currentLsn: undefined }, { role: 'none' as const }]) {
      const stuck = state(2, {
        view: standbyView(2, { streaming: false }),
        following: followed(2, { applicationName: 'demo-2.joining' }),
        peers: answers(10_000, leaderReport(1, changed)),
        lastAsked: at(10_000),
        rejoin: { epoch: 3, rung: 'follow', rewinds: 0, copies: 0, stuckSince: at(0) },
      });
      const { state: next, actions } = step(stuck, TICK, at(10_001));
      assert.deepEqual(jobs(actions), []);
      assert.equal(next.rejoin?.stuckSince, undefined);
    }
  });

  test('a standby that cannot stream from a proven leader is rewound, then copied', () => {
    const stuck = state(2, {
      view: standbyView(2, { streaming: false }),
      following: followed(2, { applicationName: 'demo-2.joining' }),
      peers: answers(10_000, leaderReport(1)),
      lastAsked: at(10_000),
      sight: { version: '7', since: at(9_000), last: at(10_000) },
      rejoin: { epoch: 3, rung: 'follow', rewinds: 0, copies: 0, stuckSince: at(0) },
    });
    const first = step(stuck, TICK, at(10_001));
    assert.deepEqual(
      jobs(first.actions).map(({ kind }) => kind),
      ['stop'],
    );
    assert.equal(first.state.rejoin?.rung, 'rewind');
    const down = standbyView(2, { ...stopped });
    const ended: Event = {
      type: 'jobDone',
      id: first.state.job!.id,
      seen: { startedAt: at(10_100), view: down },
    };
    const second = step(first.state, ended, at(10_101));
    assert.deepEqual(
      jobs(second.actions).map(({ kind }) => kind),
      ['rewind'],
    );
    let now = 10_200;
    let current = second.state;
    for (let n = 0; n < 2; n++) {
      current = step(
        current,
        {
          type: 'jobFailed',
          id: current.job!.id,
          code: 'x',
          message: 'x',
          seen: { startedAt: at(now), view: down },
        },
        at(now),
      ).state;
      current = step(current, TICK, at(now + 1_000)).state;
      now += 1_100;
    }
    assert.equal(current.rejoin?.rung, 'copy');
    assert.equal(current.job?.job.kind, 'wipe');
  });

  test('a start that ends with PostgreSQL is a failure: the next try waits, and after some the next rung', () => {
    const down = standbyView(2, { ...stopped });
    let now = 100;
    let current = state(2, { view: down });
    const feed = (event: Event, ms = 10) => {
      now += ms;
      current = step(current, event, at(now)).state;
    };
    const seen = () => ({ startedAt: at(now), view: down });
    for (let n = 1; n <= 3; n++) {
      feed(TICK, 2_000);
      assert.equal(current.job?.job.kind, 'startStandby', `try ${n}`);
      const start = current.job?.id ?? 0;
      feed({ type: 'exited', expected: false, reason: 'code 1' });
      assert.equal(current.job?.job.kind, 'die');
      feed({ type: 'jobFailed', id: start, code: 'StartFailed', message: 'no' });
      feed({ type: 'jobDone', id: current.job?.id ?? 0, seen: seen() });
      assert.equal(current.job, undefined, 'the next try waits');
    }
    feed(TICK);
    assert.equal(current.rejoin?.rung, 'rewind');
  });

  test('nothing changes in what it was given', () => {
    const before = leaderState();
    const copy = structuredClone(before);
    step(before, TICK, at(7_000));
    assert.deepEqual(before, copy);
  });
});
