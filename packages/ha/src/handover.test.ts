import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Action, Event } from './events.ts';
import { step } from './machine.ts';
import type { State } from './state.ts';
import {
  ANY_1,
  answers,
  at,
  leaderState,
  lease,
  primaryView,
  record,
  report,
  row,
  settings,
  standbyView,
  state,
} from './testing.ts';
import type { LeaseRecord } from './types.ts';

const TICK: Event = { type: 'tick' };
const stopping = [report(2, { state: 'demoting' }), report(3, { role: 'none', state: 'stopped' })];

/** Whether a leader that is being stopped since 0 tells its database to stop. */
function stops(ms: number, changed: Parameters<typeof leaderState>[0]): boolean {
  const before = leaderState({
    terminating: { since: at(0), graceMs: 1_800_000 },
    handover: { reason: 'shutdown', since: at(0), stage: 'choosing' },
    lastAsked: at(1),
    view: primaryView(1, { replication: [] }),
    ...changed,
  });
  return step(before, TICK, at(ms)).actions.some(
    (action) => action.type === 'job' && action.job.kind === 'stop',
  );
}

describe('a leader that is being stopped', () => {
  test('waits for a replica that may still catch up', () => {
    assert.equal(stops(2_000, { peers: answers(1, 2, 3) }), false);
    assert.equal(stops(5_100, { peers: answers(1, 2, 3) }), true);
  });
  test('does not wait where all others are stopping as well', () => {
    assert.equal(stops(10, { peers: answers(1, ...stopping) }), true);
  });
  test('waits while one of them streams still', () => {
    const view = primaryView(1, { replication: [row('demo-2')] });
    assert.equal(stops(10, { peers: answers(1, ...stopping), view }), false);
  });
  test('gives those that do not answer a second', () => {
    assert.equal(stops(900, { peers: answers(1, stopping[0]!) }), false);
    assert.equal(stops(1_000, { peers: answers(1, stopping[0]!) }), true);
  });
});

describe('a switchover that is called off', () => {
  const asked = (stage: 'choosing' | 'stopping', id: string | undefined) => {
    const wish = id ? { switchover: { id, from: 'demo-1', to: 'demo-2' } } : {};
    return step(
      leaderState({
        settings: settings(wish),
        handover: { reason: 'switchover', id: 'a', to: 'demo-2', since: at(0), stage },
        lastAsked: at(1),
        view: primaryView(1, { replication: [row('demo-3')] }),
        peers: answers(1, report(2, { streaming: false }), 3),
      }),
      TICK,
      at(10),
    ).state;
  };
  test('is given up while the target is still waited for', () => {
    assert.equal(asked('choosing', 'a').handover?.stage, 'choosing');
    const off = asked('choosing', undefined);
    assert.equal(off.handover, undefined);
    assert.match(off.switchoverOutcome?.why ?? '', /called off/);
  });
  test('goes on once PostgreSQL is being stopped', () => {
    assert.equal(asked('stopping', undefined).handover?.stage, 'stopping');
  });
});

describe('who archives what is left of the WAL', () => {
  const heirOf = (handover: State['handover']) => {
    const { actions } = step(leaderState({ handover }), TICK, at(10));
    return actions.flatMap((action) => (action.type === 'job' ? [action.job] : []));
  };
  const stop = { kind: 'stop' as const, fastMs: settings().fastStopMs, immediateMs: 5_000 };
  test('the next leader, where one is named', () => {
    const plan = { reason: 'fence' as const, to: 'demo-2', since: at(0), stage: 'stopping' as const };
    assert.deepEqual(heirOf(plan), [{ ...stop, heir: true }]);
  });
  test('the one that stops, where nobody follows or it starts again', () => {
    assert.deepEqual(heirOf({ reason: 'fence', since: at(0), stage: 'stopping' }), [stop]);
    const again = { reason: 'switchover' as const, id: 'a', to: 'demo-1' };
    assert.deepEqual(heirOf({ ...again, since: at(0), stage: 'stopping' }), [stop]);
  });
});

test('a plan to hand over ends with the leadership that it was made in', () => {
  const before = leaderState({
    handover: { reason: 'fence', to: 'demo-3', since: at(0), stage: 'stopping' },
    release: { to: 'demo-3', why: 'fence' },
    reading: at(5),
  });
  const taken = record({
    holder: 'uid-2/1',
    epoch: 4,
    leader: { name: 'demo-2', podUID: 'uid-2', address: '' },
  });
  const outcome = { kind: 'found' as const, version: '8', record: taken };
  const after = step(before, { type: 'leaseRead', sentAt: at(5), outcome }, at(10)).state;
  assert.equal(after.held, undefined);
  assert.equal(after.handover, undefined);
  assert.equal(after.release, undefined);
});

describe('a leader that is stopped before it was promoted', () => {
  const released = (controlState: string) => {
    const before = leaderState({
      terminating: { since: at(0), graceMs: 1_800_000 },
      handover: { reason: 'shutdown', since: at(0), stage: 'verifying' },
      view: standbyView(1, { process: 'stopped', sqlReachable: false, controlState, checkpointLsn: '0/800' }),
      deadSince: at(1),
      primaryMaybe: false,
      // Somebody else's rule, in which this one counted.
      lease: lease({ rules: [{ ...ANY_1, names: ['demo-1', 'demo-3'] }] }),
      lastAsked: at(2),
      peers: answers(2, report(3, { receivedLsn: '0/900' })),
    });
    const after = step(before, TICK, at(10));
    return after.actions.flatMap((action) => (action.type === 'writeLease' ? [action.record] : []))[0];
  };
  test('names nobody by the old checkpoint of its control file: it may have more than he', () => {
    const record = released('shut down in recovery');
    assert.equal(record?.holder, null);
    assert.equal(record?.handover, undefined);
  });
  test('as a primary it names who has its last record', () => {
    assert.equal(released('shut down')?.handover?.to, 'demo-3');
  });
});

describe('the target is asked as soon as the postmaster has ended', () => {
  const stopping = leaderState({
    handover: { reason: 'switchover', id: 'a', to: 'demo-3', since: at(0), stage: 'stopping' },
    job: { id: 9, job: { kind: 'stop', fastMs: 1, immediateMs: 1 }, since: at(0) },
  });
  const exited: Event = { type: 'exited', expected: true, reason: 'code 0' };
  const asks = (actions: Action[]) =>
    actions.flatMap((action) => (action.type === 'askPeers' ? [action.names] : []));
  const view = primaryView(1, {
    process: 'stopped',
    inRecovery: undefined,
    sqlReachable: false,
    controlState: 'shut down',
    checkpointLsn: '0/1028',
    replication: [],
  });
  const done: Event = { type: 'jobDone', id: 9, seen: { startedAt: at(120), view } };
  const answer = (receivedLsn: string): Event => ({
    type: 'peers',
    askedAt: at(100),
    answers: { 'demo-3': report(3, { receivedLsn, replayedLsn: receivedLsn }) },
  });
  const ended = step(stopping, exited, at(100));

  test('only the target, and once', () => {
    assert.deepEqual(asks(ended.actions), [['demo-3']]);
    assert.deepEqual(asks(step(ended.state, TICK, at(105)).actions), []);
  });
  test('nobody where it is itself: a leader that restarts', () => {
    const restarting = { ...stopping, handover: { ...stopping.handover!, to: 'demo-1' } };
    assert.deepEqual(asks(step(restarting, exited, at(100)).actions), []);
  });
  test('with its word the Lease is handed over in the step in which the stop is over', () => {
    const heard = step(ended.state, answer('0/10A0'), at(110));
    const { actions } = step(heard.state, done, at(120));
    const [write] = actions.flatMap((action) => (action.type === 'writeLease' ? [action] : []));
    assert.equal(write?.purpose, 'release');
    assert.deepEqual(write?.record.handover, { to: 'demo-3', position: '0/1028', at: '' });
  });
  test('a word that comes after that is waited for, and not asked for again', () => {
    const over = step(ended.state, done, at(120));
    assert.deepEqual(asks(over.actions), []);
    const { actions } = step(over.state, answer('0/10A0'), at(125));
    assert.equal(
      actions.some((action) => action.type === 'writeLease'),
      true,
    );
  });
  test('a word of less does not count', () => {
    const heard = step(ended.state, answer('0/1028'), at(110));
    const { actions } = step(heard.state, done, at(120));
    assert.equal(
      actions.some((action) => action.type === 'writeLease'),
      false,
    );
  });
  test('after a stop that was not clean a word from before certain death does not count', () => {
    const heard = step(ended.state, answer('0/10A0'), at(110));
    const unclean = { ...view, controlState: 'in production' };
    const over: Event = { type: 'jobDone', id: 9, seen: { startedAt: at(120), view: unclean } };
    const { actions } = step(heard.state, over, at(120));
    assert.deepEqual(asks(actions), [['demo-2', 'demo-3']]);
  });
});

describe('what is handed over is taken as the watch shows it', () => {
  const handed = (changed: Partial<LeaseRecord> = {}): LeaseRecord =>
    record({ holder: null, handover: { to: 'demo-2', position: '0/1000', at: '' }, ...changed });
  const hint = (seen: LeaseRecord): Event => ({ type: 'leaseHint', version: '8', record: seen });
  const taken = (before: State, seen: LeaseRecord) =>
    step(before, hint(seen), at(10)).actions.some((action) => action.type === 'writeLease');

  test('by a swap from exactly that version, without reading it', () => {
    const { actions, state: after } = step(state(2), hint(handed()), at(10));
    const [write] = actions.flatMap((action) => (action.type === 'writeLease' ? [action] : []));
    assert.equal(write?.version, '8');
    assert.equal(write?.purpose, 'take');
    assert.equal(
      actions.some((action) => action.type === 'readLease'),
      false,
    );
    assert.notEqual(after.sight?.version, '8');
  });
  test('a swap that fails has it read', () => {
    const { state: after, actions } = step(state(2), hint(handed()), at(10));
    const [write] = actions.flatMap((action) => (action.type === 'writeLease' ? [action] : []));
    const outcome = { kind: 'conflict' as const };
    const failed = step(after, { type: 'leaseWritten', id: write!.id, sentAt: at(10), outcome }, at(900));
    assert.equal(
      failed.actions.some((action) => action.type === 'readLease'),
      true,
    );
    assert.equal(failed.state.held, undefined);
  });
  const not: [string, State, LeaseRecord][] = [
    ['held by another', state(2), record()],
    ['released to nobody', state(2), handed({ handover: undefined })],
    ['handed to another', state(2), handed({ handover: { to: 'demo-3', position: '0/1000', at: '' } })],
    ['of an older epoch', state(2, { epochSeen: 4 }), handed()],
    ['of a later epoch, whose leader is not known', state(2), handed({ epoch: 4 })],
  ];
  for (const [what, before, seen] of not)
    test(`${what}: it is read first`, () => {
      assert.equal(taken(before, seen), false);
      assert.equal(step(before, hint(seen), at(10)).state.lease?.version, '7');
    });
});

describe('nothing is in the way of the promotion', () => {
  const done = (actions: Action[]) =>
    actions.flatMap((action) => {
      if (action.type === 'job') return [action.job.kind];
      if (action.type === 'aside') return [action.aside.kind];
      if (action.type === 'writeLease') return [action.purpose];
      return action.type === 'observe' ? ['observe'] : [];
    });
  const handed = (position: string) => lease({ holder: null, handover: { to: 'demo-2', position, at: '' } });

  test('from the take on neither slots nor a look that is not needed', () => {
    const first = step(state(2, { lease: handed('0/1000') }), TICK, at(1_990));
    assert.deepEqual(done(first.actions), ['take']);
    const later = step(first.state, TICK, at(2_100));
    assert.deepEqual(done(later.actions), []);
    const { id, record: taken } = first.state.write!;
    const outcome = { kind: 'ok' as const, version: '8', record: taken };
    const last = step(later.state, { type: 'leaseWritten', id, sentAt: at(1_990), outcome }, at(2_101));
    assert.equal(done(last.actions)[0], 'promote');
  });

  test('a look that is under way is enough for whoever waits for the last of the WAL', () => {
    const before = state(2, { lease: handed('0/1001'), observing: at(5) });
    const waits = step(before, TICK, at(10));
    assert.deepEqual(done(waits.actions).includes('take'), false);
    const view = standbyView(2, { receivedLsn: '0/1001' });
    const seen = step(waits.state, { type: 'observed', startedAt: at(5), view }, at(30));
    assert.deepEqual(done(seen.actions), ['take']);
  });

  test('who was kept from it until others may take it asks them like anyone', () => {
    const election = { version: '7', since: at(0), opening: 'handover' };
    const late = step(state(2, { lease: handed('0/1000'), election }), TICK, at(5_001));
    assert.equal(done(late.actions).includes('take'), false);
    assert.ok(late.actions.some((action) => action.type === 'askPeers'));
  });
});
