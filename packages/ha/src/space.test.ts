/** Full volumes, hung databases, WAL that is gone: what is started, killed, handed over, and what only waits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Job } from './events.ts';
import { step } from './machine.ts';
import type { State } from './state.ts';
import {
  answers,
  at,
  leaderReport,
  leaderState,
  lease,
  primaryView,
  report,
  standbyView,
  state,
} from './testing.ts';
import type { View, VolumeFact } from './types.ts';

const volume = (level: VolumeFact['level']): VolumeFact[] => [
  { name: 'demo-1', level, usedBytes: 99, sizeBytes: 100 },
];
const DEAD: Partial<View> = {
  process: 'stopped',
  sqlReachable: false,
  controlState: 'in production',
  inRecovery: undefined,
};

function after(before: State, ms = 1): { job: Job | undefined; next: State } {
  const { state: next, actions } = step(before, { type: 'tick' }, at(ms));
  const action = actions.find((each) => each.type === 'job');
  return { job: action?.job, next };
}

describe('a dead leader on a full volume', () => {
  const dead = (peers: State['peers'], changed: Partial<State> = {}) =>
    leaderState({
      view: primaryView(1, { ...DEAD, volumes: volume('full') }),
      primaryMaybe: false,
      deadSince: at(0),
      lastAsked: at(1),
      peers,
      ...changed,
    });

  test('hands over to one that has everything and room', () => {
    const { job, next } = after(dead(answers(1, 2, report(3, { volumes: volume('full') }))));
    assert.equal(job, undefined);
    assert.equal(next.release?.to, 'demo-2');
  });
  test('passes over one without room that goes first', () => {
    const { next } = after(dead(answers(1, report(2, { volumes: volume('low') }), 3)));
    assert.equal(next.release?.to, 'demo-3');
  });
  test('waits where nobody has room, and keeps the Lease', () => {
    const full = [2, 3].map((n) => report(n, { volumes: volume('full') }));
    const { job, next } = after(dead(answers(1, ...full)));
    assert.equal(job, undefined);
    assert.equal(next.release, undefined);
    assert.equal(next.error?.code, 'VolumeFull');
    assert.match(next.waiting!.what, /space on the volume demo-1/);
  });
  test('waits also when it has tried to start for too long', () => {
    const async = lease({ rules: [] });
    const { next } = after(dead({}, { lease: async, failingSince: at(-100_000) }));
    assert.equal(next.release, undefined);
    assert.equal(next.error?.code, 'VolumeFull');
  });
  test('starts once there is space', () => {
    const view = primaryView(1, { ...DEAD, volumes: volume('low') });
    const { job } = after(dead({}, { view, ...noSync() }));
    assert.equal(job?.kind, 'startPrimary');
  });
});

/** Settings and Lease of a cluster without synchronous replication. */
function noSync(): Partial<State> {
  const settings = { ...leaderState().settings!, sync: undefined };
  const rules = [{ method: 'any' as const, number: 0, names: [], required: false }];
  return { settings, lease: lease({ rules }) };
}

describe('a leader that runs on a full volume', () => {
  const running = (peers: State['peers']) =>
    leaderState({ view: primaryView(1, { volumes: volume('full') }), peers });

  test('hands over while somebody has room', () => {
    assert.equal(after(running(answers(1, 2, 3))).next.handover?.reason, 'full');
  });
  test('goes on where nobody has', () => {
    const full = [2, 3].map((n) => report(n, { volumes: volume('low') }));
    assert.equal(after(running(answers(1, ...full))).next.handover, undefined);
  });
});

describe('a replica on a full volume', () => {
  const view = standbyView(2, { process: 'stopped', streaming: false, volumes: volume('full') });
  test('is not started, nor copied anew', () => {
    const { job, next } = after(state(2, { view, peers: answers(0, leaderReport(1)) }));
    assert.equal(job, undefined);
    assert.equal(next.error?.code, 'VolumeFull');
  });
  test('does not stand for election', () => {
    const takes = (volumes: VolumeFact[]) => {
      const before = state(2, {
        view: standbyView(2, { volumes }),
        viewAt: at(1),
        lease: lease({ holder: null, rules: [] }),
        election: { version: '7', since: at(0), opening: 'released' },
        lastAsked: at(1),
        peers: answers(1, 3),
      });
      return step(before, { type: 'tick' }, at(2)).actions.some((action) => action.type === 'writeLease');
    };
    assert.equal(takes(volume('low')), true);
    assert.equal(takes(volume('full')), false);
  });
});

describe('a database that does not answer', () => {
  const view = primaryView(1, { silent: true, sqlReachable: false });
  test('is given time', () => {
    assert.equal(after(leaderState({ view, silentSince: at(-9_900) })).job, undefined);
  });
  test('and then killed', () => {
    assert.equal(after(leaderState({ view, silentSince: at(-10_000) })).job?.kind, 'die');
  });
});

describe('a leader whose disk takes no writes', () => {
  const hung: VolumeFact[] = [{ name: 'demo-1', level: 'fine', usedBytes: 1, sizeBytes: 100, hung: true }];
  const view = primaryView(1, { volumes: hung });
  const follows = { peers: answers(1, 2, 3) };
  const seen = (before: State, next: View) =>
    step(before, { type: 'observed', startedAt: at(1), view: next }, at(1)).state.stuckDiskSince;

  test('is given time', () => {
    assert.equal(after(leaderState({ view, ...follows, stuckDiskSince: at(-9_900) })).job, undefined);
  });
  test('and then killed, also while a job waits for the disk', () => {
    const late = { view, ...follows, stuckDiskSince: at(-10_000) };
    assert.equal(after(leaderState(late)).job?.kind, 'die');
    const job = { id: 9, job: { kind: 'setSync' as const, names: '' }, since: at(-9_000) };
    assert.equal(after(leaderState({ ...late, job })).job?.kind, 'die');
  });
  test('is left alone where nobody could take over', () => {
    const late = { view, stuckDiskSince: at(-60_000) };
    assert.equal(after(leaderState(late)).job, undefined);
    const worse = answers(1, report(2, { volumes: hung }), report(3, { volumes: volume('full') }));
    assert.equal(after(leaderState({ ...late, peers: worse })).job, undefined);
  });
  test('counts from the first look that saw it, and not while WAL is written', () => {
    const before = leaderState({ view: primaryView(1) });
    assert.deepEqual(seen(before, view), at(1));
    assert.equal(seen(before, primaryView(1, { volumes: hung, currentLsn: '0/2000' })), undefined);
    assert.equal(seen(leaderState({ view, stuckDiskSince: at(-1_000) }), primaryView(1)), undefined);
  });
});

test('a replica whose WAL is gone is copied anew, without rewinding first; an archive gets its chance before', () => {
  const cases: [stuckMs: number, archive: boolean, copied: boolean][] = [
    [1_900, false, false],
    [2_000, false, true],
    [9_900, true, false],
    [10_000, true, true],
  ];
  for (const [stuckMs, archive, copied] of cases) {
    const missingWal = 'requested WAL segment has been removed';
    const { job, next } = after(
      state(2, {
        view: standbyView(2, { streaming: false, replayedAll: true, missingWal, archive }),
        peers: answers(0, leaderReport(1)),
        proven: 3,
        rejoin: { epoch: 3, rung: 'follow', rewinds: 0, copies: 0, stuckSince: at(-stuckMs) },
      }),
    );
    assert.equal(job?.kind, copied ? 'stop' : undefined, `${stuckMs} ms, archive: ${archive}`);
    assert.equal(next.rejoin?.rung, copied ? 'copy' : 'follow');
  }
});
