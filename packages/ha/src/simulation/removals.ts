/** Every rule, what the machine is like without it, and where the harm shows. */
import type { Rules } from '../rules.ts';
import { no, yes } from '../types.ts';
import type { DrawOptions } from './history.ts';
import { append } from './wal.ts';
import type { World, WorldOptions } from './world.ts';

/** Without the rule this answers in its place. */
export type Removal = Partial<Rules>;

/** Random histories of a kind that finds the harm soon. */
export interface Hunt extends DrawOptions {
  without: Removal;
  harm: RegExp;
  noGuard?: boolean;
}

/** A history that is told, for what chance finds too seldom. */
export interface Story {
  without: Removal;
  harm: RegExp;
  options: WorldOptions;
  faults(world: World): void;
}

export const REQUIRED: WorldOptions = { settings: { sync: { method: 'any', number: 1, required: true } } };
const ANY_1 = REQUIRED.settings!;
const LOST = /without records|does not have/;
const TWO = /two primaries acknowledge/;

export const HUNTS: Partial<Record<keyof Rules, Hunt>> = {
  leadershipHolds: {
    without: { leadershipHolds: () => true },
    noGuard: true,
    kinds: ['isolated'],
    settings: {},
    harm: TWO,
  },
  isSilent: {
    without: { isSilent: () => true },
    kinds: ['isolated', 'managerKilled'],
    settings: {},
    harm: TWO,
  },
  isHeldBy: {
    without: { isHeldBy: () => true },
    kinds: ['isolated', 'managerFrozen', 'nodeFrozen', 'switchover'],
    harm: /./,
  },
  isCertainlyDead: {
    without: {
      isCertainlyDead: (_record, pods) => pods.some((pod) => pod.deleting || pod.terminated.length > 0),
    },
    kinds: ['podKilled', 'podReplaced', 'isolated'],
    settings: {},
    harm: TWO,
  },
  isOurPredecessor: {
    without: { isOurPredecessor: () => true },
    kinds: ['isolated', 'managerKilled'],
    settings: {},
    harm: /./,
  },
  mayPassOverTheNamed: {
    without: { mayPassOverTheNamed: () => true },
    kinds: ['switchover', 'podReplaced', 'networkSlow', 'apiSlow'],
    harm: /handed to/,
  },
  ledLast: {
    without: { ledLast: () => true },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: ANY_1,
    harm: LOST,
  },
  mayStand: {
    without: { mayStand: () => yes },
    kinds: ['fenced', 'podKilled', 'nodeLost', 'volumeLost'],
    harm: /fenced|without records|not settled/,
  },
  mayTakeNow: {
    without: { mayTakeNow: () => yes },
    kinds: ['maintenance', 'nodeLost', 'podKilled'],
    harm: /under maintenance/,
  },
  isForced: {
    without: { isForced: () => true },
    kinds: ['podKilled', 'linkCut', 'nodeLost', 'maintenance'],
    harm: /./,
  },
  nobodyAhead: {
    without: { nobodyAhead: () => yes },
    kinds: ['podKilled', 'linkCut', 'networkSlow', 'messagesLost'],
    harm: /is ahead|without records/,
  },
  quorumAnswered: {
    without: { quorumAnswered: () => yes },
    kinds: ['podKilled', 'linkCut', 'messagesLost', 'nodeLost'],
    settings: ANY_1,
    harm: LOST,
  },
  withinLag: {
    without: { withinLag: () => yes },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: { maximumLagBytes: 128n },
    harm: /maximumLag/,
  },
  promisesDecide: {
    without: { promisesDecide: (record) => record.holder !== null },
    kinds: ['isolated', 'managerFrozen'],
    settings: {},
    harm: TWO,
  },
  mayPromise: { without: { mayPromise: () => yes }, kinds: ['linkCut'], settings: ANY_1, harm: /deposes/ },
  isQuiet: {
    without: { isQuiet: () => true },
    kinds: ['isolated', 'linkCut'],
    settings: ANY_1,
    harm: /deposes/,
  },
  promisesSuffice: {
    without: { promisesSuffice: () => yes, enoughAreQuiet: () => yes },
    kinds: ['isolated', 'linkCut', 'managerFrozen', 'isolatedFromApi'],
    settings: ANY_1,
    harm: LOST,
  },
  behindNoPromise: {
    without: { behindNoPromise: () => yes },
    kinds: ['nodeLost', 'linkCut', 'managerFrozen', 'networkSlow'],
    settings: ANY_1,
    harm: LOST,
  },
  mayContinueAsPrimary: {
    without: { mayContinueAsPrimary: () => true },
    kinds: ['podKilled', 'managerKilled', 'switchover', 'postmasterKilled'],
    harm: /./,
  },
  mayApply: {
    without: { mayApply: () => true },
    kinds: ['syncChanged', 'answersLost', 'apiAway', 'nodeLost', 'isolated', 'linkCut', 'volumeLost'],
    sizes: [3, 4, 5],
    harm: LOST,
  },
  mayDropOthers: {
    without: { mayDropOthers: () => true },
    kinds: ['syncChanged', 'nodeLost', 'linkCut', 'switchover', 'postmasterKilled', 'networkSlow'],
    sizes: [3, 4, 5],
    settings: ANY_1,
    harm: LOST,
  },
  mayBecomeMember: {
    without: { mayBecomeMember: (_s, _name, report) => !report.dataEmpty },
    kinds: ['volumeLost', 'nodeLost', 'linkCut', 'networkSlow'],
    settings: ANY_1,
    harm: LOST,
  },
  historyIsTheLeaders: {
    without: { historyIsTheLeaders: () => true },
    kinds: ['isolated', 'nodeLost', 'podKilled', 'nodeFrozen'],
    settings: ANY_1,
    harm: LOST,
  },
  mayDropMember: {
    without: { mayDropMember: (s, _settings, name) => name !== s.self.name && !s.peers[name]?.report },
    kinds: ['nodeLost', 'podKilled'],
    harm: /no member any more/,
  },
  mayInitialise: {
    without: { mayInitialise: (_record, s) => (s.view?.data === 'empty' ? yes : no('it has data')) },
    kinds: ['volumeLost'],
    harm: /initialised before/,
  },
  timelineToReserve: {
    without: { timelineToReserve: () => 0 },
    kinds: ['nodeLost', 'podKilled', 'isolated'],
    settings: {},
    harm: /./,
  },
  allGrant: {
    without: {
      allGrant: (_members, _self, answers) =>
        Object.values(answers).some((answer) => answer !== null && 'granted' in answer),
    },
    kinds: ['isolatedFromApi', 'linkCut'],
    settings: {},
    sizes: [3],
    harm: TWO,
  },
};

export const STORIES: Partial<Record<keyof Rules, Story>> = {
  grantMs: {
    without: { grantMs: () => 1_000 },
    options: {},
    harm: TWO,
    faults(world) {
      // It goes on by grants for long; then it is cut off from everybody.
      world.isolateFromApi('demo-1');
      world.run(15_000);
      world.isolate('demo-1');
      world.run(12_000);
    },
  },
  isBound: {
    without: { isBound: () => false },
    options: {},
    harm: TWO,
    faults(world) {
      world.isolateFromApi('demo-1');
      world.run(15_000);
    },
  },
  mayGrant: {
    without: { mayGrant: () => yes },
    options: REQUIRED,
    harm: /still answers clients/,
    faults(world) {
      // Others have taken over by promises; it comes back to them, but not to the API.
      world.isolate('demo-1');
      world.until(() => world.leader()?.name !== 'demo-1', 6_000);
      world.heal('demo-1');
      world.isolateFromApi('demo-1');
      world.run(20_000);
    },
  },
  promiseWait: {
    without: { promiseWait: () => 0 },
    options: REQUIRED,
    harm: /has just let go on/,
    faults(world) {
      world.isolateFromApi('demo-1');
      world.run(15_000);
    },
  },
  isGenuine: {
    without: { isGenuine: () => true },
    options: {},
    harm: TWO,
    faults(world) {
      // The API is restored to a time at which a leader held the Lease that has died since.
      const old = world.api.lease!.record;
      world.get('demo-1').killPod(3_000);
      world.until(() => world.leader()?.name !== 'demo-1' && world.settled(), 20_000);
      const { name } = world.leader()!;
      world.isolate(name);
      world.api.restoreLease(old);
      world.run(9_000);
    },
  },
  timelineToReserve: {
    without: { timelineToReserve: () => 0 },
    options: REQUIRED,
    harm: /./,
    faults(world) {
      // Promoted, and dead before anybody has followed it; another is promoted; the first comes back.
      world.get('demo-1').killPod(undefined);
      world.until(() => world.primaries().length === 1 && world.leader()?.name !== 'demo-1', 15_000);
      const first = world.leader()!;
      world.isolate(first.name);
      for (let n = 0; n < 5; n++)
        first.database.wal = append(first.database.wal, world.newRecord(), first.database.timeline);
      first.die();
      world.get('demo-1').startContainer();
      world.until(() => world.primaries().length === 1 && world.leader() !== first, 30_000);
      world.run(1_000);
      world.heal();
      first.startContainer();
      world.run(8_000);
    },
  },
};
