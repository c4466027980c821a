/** For tests: pieces of a state, each with what most cases have in common. */
import type { Now } from './clock.ts';
import { initialState, type KnownLease, type State } from './state.ts';
import type {
  CommitRule,
  LeaseRecord,
  PeerReport,
  PodFact,
  ReplicationRow,
  Settings,
  View,
} from './types.ts';

export const at = (ms: number): Now => ({ mono: ms, wall: 1_000_000 + ms });

export const ANY_1: CommitRule = { method: 'any', number: 1, names: ['demo-2', 'demo-3'], required: true };

export function settings(changed: Partial<Settings> = {}): Settings {
  return {
    instances: 3,
    instanceNames: ['demo-1', 'demo-2', 'demo-3'],
    renewMs: 2_000,
    stopMs: 6_000,
    guardMs: 8_000,
    takeMs: 10_000,
    failoverDelayMs: 0,
    primaryStartMs: 60_000,
    switchoverMs: 10_000,
    fastStopMs: 15_000,
    epochFloor: 0,
    fenced: [],
    sync: { method: 'any', number: 1, required: true },
    ...changed,
  };
}

/** A Lease that demo-1 holds, with three members under `ANY 1`. */
export function record(changed: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    holder: 'uid-1/1',
    epoch: 3,
    designated: 'demo-1',
    systemID: 'sys',
    leader: { name: 'demo-1', podUID: 'uid-1', address: '10.0.0.1', containerID: 'c-1' },
    timeline: 1,
    settled: { epoch: 3 },
    position: '0/1000',
    members: [1, 2, 3].map((n) => ({ name: `demo-${n}`, incarnation: `inc-${n}` })),
    rules: [ANY_1],
    ...changed,
  };
}

export function lease(changed: Partial<LeaseRecord> = {}): KnownLease {
  return { version: '7', record: record(changed) };
}

/** A standby that streams and knows how far it is. */
export function standbyView(n: number, changed: Partial<View> = {}): View {
  return {
    data: 'present',
    incarnation: `inc-${n}`,
    systemID: 'sys',
    timeline: 1,
    process: 'running',
    sqlReachable: true,
    inRecovery: true,
    receivedLsn: '0/1000',
    replayedLsn: '0/1000',
    replayedAll: true,
    streaming: true,
    receiverRunning: true,
    replication: [],
    ...changed,
  };
}

export function primaryView(n: number, changed: Partial<View> = {}): View {
  return {
    ...standbyView(n),
    inRecovery: false,
    currentLsn: '0/1000',
    receivedLsn: undefined,
    replayedLsn: undefined,
    streaming: false,
    receiverRunning: false,
    replication: [row('demo-2'), row('demo-3')],
    ...changed,
  };
}

export function row(
  name: string,
  flushLsn = '0/1000',
  changed: Partial<ReplicationRow> = {},
): ReplicationRow {
  return { name, state: 'streaming', syncState: 'quorum', flushLsn, ...changed };
}

export function report(n: number, changed: Partial<PeerReport> = {}): PeerReport {
  return {
    name: `demo-${n}`,
    podUID: `uid-${n}`,
    identity: `uid-${n}/1`,
    role: 'replica',
    state: 'running',
    leader: false,
    systemID: 'sys',
    incarnation: `inc-${n}`,
    timeline: 1,
    receivedLsn: '0/1000',
    replayedLsn: '0/1000',
    streaming: true,
    dataEmpty: false,
    ...changed,
  };
}

export function leaderReport(n: number, changed: Partial<PeerReport> = {}): PeerReport {
  return report(n, { role: 'primary', leader: true, currentLsn: '0/1000', streaming: false, ...changed });
}

export function pod(n: number, changed: Partial<PodFact> = {}): PodFact {
  return {
    instance: `demo-${n}`,
    uid: `uid-${n}`,
    address: `10.0.0.${n}`,
    deleting: false,
    leaving: false,
    terminated: [],
    ...changed,
  };
}

/** What demo-N was last told: to follow demo-1, and the rule it would lead by. */
export function followed(
  n: number,
  changed: Partial<NonNullable<State['following']>> = {},
): NonNullable<State['following']> {
  const others = [1, 2, 3].filter((each) => each !== n).map((each) => `"demo-${each}"`);
  const syncNames = `ANY 1 (${others.join(', ')})`;
  return { name: 'demo-1', address: '10.0.0.1', applicationName: `demo-${n}`, syncNames, ...changed };
}

/** demo-N as a standby of demo-1, with nothing left to find out at time 0. */
export function state(n: number, changed: Partial<State> = {}): State {
  return {
    ...initialState({
      name: `demo-${n}`,
      podUID: `uid-${n}`,
      identity: `uid-${n}/1`,
      address: `10.0.0.${n}`,
      containerID: `c-${n}`,
    }),
    settings: settings(),
    lease: lease(),
    sight: { version: '7', since: at(0), last: at(0) },
    lastRead: at(0),
    readDue: false,
    epochSeen: 3,
    view: standbyView(n),
    viewAt: at(0),
    observeDue: false,
    pods: [pod(1), pod(2), pod(3)],
    primaryMaybe: false,
    deathNeeded: false,
    following: followed(n),
    beat: null,
    ...changed,
  };
}

/** demo-1 as the leader it is on the Lease, renewed at time 0, its rule in force everywhere. */
export function leaderState(changed: Partial<State> = {}): State {
  return {
    ...state(1),
    held: { epoch: 3, t0: at(0), since: at(0), continuing: true },
    view: primaryView(1),
    primaryMaybe: true,
    applied: 'ANY 1 ("demo-2", "demo-3")',
    appliedAt: at(-10),
    mark: '0/100',
    beat: 0,
    slotsFor: ['demo-2', 'demo-3'],
    routed: { epoch: 3, at: at(0) },
    lastAsked: at(0),
    following: undefined,
    ...changed,
  };
}

/** Answers of peers, asked at `ms`; a number stands for a good answer of that instance. */
export function answers(ms: number, ...reports: (PeerReport | number)[]): State['peers'] {
  return Object.fromEntries(
    reports.map((each) => {
      const answer = typeof each === 'number' ? report(each) : each;
      return [answer.name, { report: answer, askedAt: at(ms) }];
    }),
  );
}
