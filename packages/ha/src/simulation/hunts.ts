/** Rules taken away, and the kind of random histories that find the harm soon. */
import type { Rules } from '../rules.ts';
import { no, yes } from '../types.ts';
import { type Hunt, LOST, REQUIRED, TWO } from './removals.ts';

const ANY_1 = REQUIRED.settings!;

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
  ledLast: {
    without: { ledLast: () => true },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: ANY_1,
    harm: LOST,
  },
  mayTakeNow: {
    without: { mayTakeNow: () => yes },
    kinds: ['maintenance', 'nodeLost', 'podKilled'],
    harm: /under maintenance/,
  },
  nobodyAhead: {
    without: { nobodyAhead: () => yes },
    kinds: ['podKilled', 'linkCut', 'networkSlow', 'messagesLost'],
    harm: /is ahead|without records/,
  },
  withinLag: {
    without: { withinLag: () => yes },
    kinds: ['podKilled', 'isolated', 'linkCut'],
    settings: { maximumLagBytes: 128n },
    harm: /maximumLag/,
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
  mayDropMember: {
    without: { mayDropMember: (s, _settings, name) => name !== s.self.name && !s.peers[name]?.report },
    kinds: ['nodeLost', 'podKilled'],
    harm: /no member any more/,
  },
  timelineToReserve: {
    without: { timelineToReserve: () => 0 },
    kinds: ['nodeLost', 'podKilled', 'isolated'],
    settings: {},
    harm: /bear timeline/,
  },
  mayInitialise: {
    without: { mayInitialise: (_record, s) => (s.view?.data === 'empty' ? yes : no('it has data')) },
    kinds: ['volumeLost'],
    harm: /initialised before/,
  },
};
